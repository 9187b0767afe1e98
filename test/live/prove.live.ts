/** saqr prove with TRL as it is installed: parity of runs that are the same, and none of runs that are not. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, inject, it } from 'vitest'
import type { Proof } from '../../src/cli/prove/compare.ts'
import { prove } from '../../src/cli/verbs/prove.ts'
import { commandLine } from '../cli/saqr.ts'
import { writeTinyModel } from '../cli/tiny-model.ts'
import { json } from './train.ts'

process.env.HF_HUB_OFFLINE = '1'
process.env.OMP_WAIT_POLICY ??= 'PASSIVE' // threads that spin starve whatever runs beside
const root = join(import.meta.dirname, '../..')
const fixture = join(root, 'test/fixtures/training/linear-warmup')
const mixture = join(root, 'test/fixtures/preference-mixture/model')
const python = join(root, '.venv/bin/python')
/** the same, in forks of one that has loaded TRL: most cases take that, as loading takes longer than their steps */
const loaded = inject('python')
const folder = mkdtempSync(join(tmpdir(), 'saqr-prove-'))
afterAll(() => rmSync(folder, { recursive: true }))

const texts = readFileSync(join(fixture, 'train.jsonl'), 'utf8').trimEnd().split('\n').map((line) => (JSON.parse(line) as { text: string }).text) // biome-ignore format: short
function rows(name: string, of: (text: string, i: number) => object, without = 0): string {
  mkdirSync(join(folder, name))
  writeFileSync(
    join(folder, name, 'train.jsonl'),
    texts
      .slice(without)
      .map((text, i) => `${JSON.stringify(of(text, i))}\n`)
      .join(''),
  )
  return join(folder, name)
}
const plain = rows('plain', (text) => ({ text }))
const pairs = rows('pairs', (text, i) => {
  const [words, others] = [text.split(' '), texts[(i + 5) % texts.length]!.split(' ')]
  const half = Math.max(1, words.length >> 1)
  const said = (list: string[]) => ` ${list.join(' ')}`
  return { prompt: words.slice(0, half).join(' '), chosen: said(words.slice(half)), rejected: said(others.slice(1)) }
})

/** of eight rows five are wanted: not every micro-batch has both */
const ratedRow = (text: string, i: number) => {
  const words = text.split(' ')
  const half = Math.max(1, words.length >> 1)
  return { prompt: words.slice(0, half).join(' '), completion: ` ${words.slice(half).join(' ')}`, label: (i * 3) % 8 < 5 }
}
const rated = rows('rated', ratedRow)

/** 64 divides its widths: bitsandbytes reads its own weights right; and TRL, which holds a base of 4 bits in bf16, rounds nothing of it */
const wide = join(folder, 'wide')
await writeTinyModel(wide, { channels: 64, heads: 4, kvHeads: 2, hidden: 128 }, true)

const config = (name: string, options: Record<string, unknown>) => {
  const path = join(folder, `${name}.yaml`)
  const all = { model_name_or_path: join(fixture, 'model'), learning_rate: 5e-3, output_dir: join(folder, 'theirs'), ...options }
  writeFileSync(path, Object.entries(all).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`).join('')) // biome-ignore format: short
  return path
}
const adapter = { use_peft: true, lora_r: 4, lora_target_modules: 'all-linear', dtype: 'float32', bf16: false }
const lora = () => config('lora', { ...adapter, dataset_name: plain, gradient_accumulation_steps: 2, per_device_train_batch_size: 2, warmup_steps: 3, eval_strategy: 'no' }) // biome-ignore format: short

const preferences = () => config('dpo', { ...adapter, dataset_name: pairs, max_steps: 30, per_device_train_batch_size: 4 })
const ratedAnswers = () => config('kto', { ...adapter, dataset_name: rated, gradient_accumulation_steps: 2, per_device_train_batch_size: 4 }) // biome-ignore format: short
const odds = () => config('orpo', { ...adapter, dataset_name: pairs, gradient_accumulation_steps: 2, max_length: 48, per_device_train_batch_size: 2 }) // biome-ignore format: short
const simpo = () => config('simpo', { ...adapter, dataset_name: pairs, loss_type: 'simpo', cpo_alpha: 0, per_device_train_batch_size: 4 })

const qlora = (name: string, options: Record<string, unknown> = {}) =>
  config(name, {
    ...adapter,
    model_name_or_path: wide,
    load_in_4bit: true,
    dataset_name: plain,
    per_device_train_batch_size: 4,
    ...options,
  })

const proven = async (out: string, python: string, ...args: string[]) => {
  const saqr = commandLine({ prove })
  const result = await saqr('prove', ...args, '--device', 'cpu', '--threads', '2', '--python', python, '--out', out, '--steps', '8')
  return { ...result, proof: existsSync(join(out, 'proof.json')) ? (json(join(out, 'proof.json')) as Proof) : null }
}

describe('runs that are the same', () => {
  it.each([
    ['LoRA in f32, with accumulation, warm-up and dropout', ['sft'], lora, 28, 'f32'],
    ['all weights in bf16, packed', ['sft'], () => config('packed', { dataset_name: plain, packing: true, max_length: 64, per_device_train_batch_size: 4 }), 21, 'bf16'], // biome-ignore format: short
    ['preferences', ['dpo'], preferences, 28, 'f32'],
    ['preferences without clipping', ['dpo'], () => config('dpo-ipo', { ...adapter, dataset_name: pairs, loss_type: 'ipo', max_grad_norm: 0, gradient_accumulation_steps: 2, max_steps: 30, per_device_train_batch_size: 2 }), 28, 'f32'], // biome-ignore format: short
    ['rated answers', ['kto'], ratedAnswers, 28, 'f32'],
    ['rated answers, each by itself, all weights', ['kto'], () => config('apo', { dtype: 'float32', bf16: false, learning_rate: 1e-3, dataset_name: rated, loss_type: 'apo_zero_unpaired', undesirable_weight: 1.5, per_device_train_batch_size: 4 }), 21, 'f32'], // biome-ignore format: short
    ['odds ratios', ['orpo'], odds, 28, 'f32'],
    ['all weights of a mixture', ['sft'], () => config('mixture', { model_name_or_path: mixture, dtype: 'float32', bf16: false, learning_rate: 1e-3, dataset_name: plain, per_device_train_batch_size: 4 }), 21, 'f32'], // biome-ignore format: short
    ['odds ratios of a mixture that asks for its balance loss', ['orpo'], () => config('orpo-mixture', { ...adapter, model_name_or_path: mixture, dataset_name: pairs, per_device_train_batch_size: 4 }), 28, 'f32'], // biome-ignore format: short
    ['odds ratios over NF4 in bf16', ['orpo'], () => qlora('orpo-qlora', { dtype: 'bfloat16', bf16: true, dataset_name: pairs }), 28, 'bf16'], // biome-ignore format: short
    ['CPO', ['cpo'], () => config('cpo', { ...adapter, dataset_name: pairs, cpo_alpha: 0.5, per_device_train_batch_size: 4 }), 28, 'f32'], // biome-ignore format: short
    ['SimPO', ['cpo'], simpo, 28, 'f32'],
    ['CPO in bf16', ['cpo'], () => config('cpo-bf16', { ...adapter, model_name_or_path: wide, bf16: true, dataset_name: pairs, per_device_train_batch_size: 8 }), 28, 'bf16'], // biome-ignore format: short
    // few pairs, tensors of 32 numbers: where a sign or a pair's weight differs it counts
    ['SimPO in bf16', ['cpo'], () => config('simpo-bf16', { ...adapter, bf16: true, dataset_name: pairs, loss_type: 'simpo', cpo_alpha: 0, per_device_train_batch_size: 4 }), 28, 'bf16'], // biome-ignore format: short
    ['LoRA over NF4, computed in f32', ['sft'], () => qlora('qlora-f32'), 28, 'bf16'],
    ['LoRA over NF4 in bf16, codes stored as floats', ['sft'], () => qlora('qlora-floats', { dtype: 'bfloat16', bf16: true, bnb_4bit_quant_storage: 'float32' }), 28, 'bf16'], // biome-ignore format: short
    ['LoRA over NF4, computed in f32, codes stored as bf16', ['sft'], () => qlora('qlora-halves', { bnb_4bit_quant_storage: 'bfloat16' }), 28, 'bf16'], // biome-ignore format: short
    ['LoRA over NF4 in bf16, scales quantised too', ['sft'], () => qlora('qlora', { dtype: 'bfloat16', bf16: true, use_bnb_nested_quant: true }), 28, 'bf16'], // biome-ignore format: short
  ] as const)('%s', async (name, kind, file, tensors, arithmetic) => {
    const out = join(folder, name)
    const { code, err, proof } = await proven(out, file === lora ? python : loaded, ...kind, file())
    expect(
      proof?.checks.filter(({ passed }) => !passed),
      err,
    ).toEqual([])
    expect(code).toBe(0)
    expect(proof).toMatchObject({
      passed: true,
      steps: 8,
      arithmetic,
      f32: arithmetic === 'f32' || name.endsWith('scales quantised too') ? null : { arithmetic: 'f32' },
    })
    // every tensor has been looked at, A of LoRA when B had moved
    expect(proof!.gradients).toHaveLength(tensors)
    expect(proof!.totalSteps.saqr).toBe(proof!.totalSteps.trl)
    for (const side of [proof!.trl, proof!.saqr]) {
      expect(side.tokensPerSecond).toBeGreaterThan(0)
      expect(side.memory.host).toBeGreaterThan(50e6)
    }
    expect(proof!.versions).toMatchObject({ node: process.versions.node, trl: expect.stringMatching(/^\d+\./), torch: expect.any(String) })
    expect(readdirSync(out).sort()).toEqual(['proof.html', 'proof.json', ...(arithmetic === 'bf16' ? ['trl-f32.log'] : []), 'trl.log'])
    expect(existsSync(join(folder, 'theirs'))).toBe(false)
  })
})

/** TRL's side runs with flags that saqr's doesn't know of. */
function otherTrl(name: string, flags: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n[ "$2" = check ] && exec '${loaded}' "$@"\nexec '${loaded}' "$@" -- ${flags}\n`, { mode: 0o755 })
  return path
}

describe('runs that are not', () => {
  it.each([
    ['other rows', ['sft'], lora, '--seed 7', ['rows', 'loss', 'gradients', 'weights']],
    // at a rate a fifth larger gradients are 0.17 apart, where signs of so small a tensor may make 0.25
    ['another learning rate', ['sft'], lora, '--learning_rate 6e-3', ['rates', 'loss', 'weights']],
    ['other tensors', ['sft'], lora, '--lora_target_modules q_proj v_proj', ['tensors', 'loss', 'gradients', 'weights']],
    ['another memory of gradients', ['sft'], lora, '--adam_beta2 0.99', ['loss', 'weights']],
    ['weights that decay', ['sft'], () => config('decay', { ...adapter, dataset_name: plain, learning_rate: 1e-4 }), '--weight_decay 1', ['weights']], // biome-ignore format: short
    ['weights of odds ratios that decay', ['orpo'], () => config('odds-decay', { ...adapter, dataset_name: pairs, learning_rate: 1e-4, per_device_train_batch_size: 4 }), '--weight_decay 1', ['weights']], // biome-ignore format: short
    ['another loss', ['dpo'], preferences, '--beta 0.11', ['loss', 'gradients', 'weights']],
    ['other weights of answers', ['kto'], ratedAnswers, '--undesirable_weight 1.1', ['loss', 'gradients', 'weights']],
    ['a row less', ['kto'], ratedAnswers, `--dataset_name ${rows('fewer', ratedRow, 1)}`, ['rows', 'loss', 'gradients', 'weights']],
    ['another length', ['orpo'], odds, '--max_length 24', ['rows', 'loss', 'gradients', 'weights']],
    ['another margin', ['cpo'], simpo, '--simpo_gamma 0.6', ['loss', 'gradients', 'weights']],
  ] as const)('%s', async (name, kind, file, flags, failed) => {
    const out = join(folder, `other-${name}`)
    const { code, err, proof } = await proven(out, otherTrl(`trl-${name}`, flags), ...kind, file())
    expect(
      proof?.checks.filter(({ passed }) => !passed).map((check) => check.name),
      err,
    ).toEqual(failed)
    expect([code, proof!.passed]).toEqual([1, false])
    expect(readFileSync(join(out, 'proof.html'), 'utf8')).toContain('Parity fails')
    // that softmax's sum is asked for where it could be all: losses alike, as nothing but a decay is other, and made of it, as trl sft's are not
    expect(existsSync(join(out, 'trl-summed.log'))).toBe(name === 'weights of odds ratios that decay')
    expect(proof!.inF32.join(' ').includes('log-softmax added in f64')).toBe(name === 'weights of odds ratios that decay')
  })
})

it.each([
  ['a scale 2 % off', '--lora_alpha 51', ['loss', 'gradients']],
  ['another learning rate', '--learning_rate 6e-3', ['rates', 'loss']],
] as const)('over NF4, %s is seen', async (name, flags, least) => {
  const file = qlora(`broken-${name}`, { lora_alpha: 50 })
  const { code, proof } = await proven(join(folder, name), otherTrl(`trl-${name}`, flags), file)
  expect(code).toBe(1)
  expect(proof!.checks.filter(({ passed }) => !passed).map((check) => check.name)).toEqual(expect.arrayContaining([...least]))
})

it('torch’s log-softmax on the CPU loses a vocabulary’s tail on one side, and not where its sum is in f64', () => {
  const script = join(folder, 'sum.py')
  writeFileSync(
    script,
    `import gc, json, sys
sys.path.insert(0, ${JSON.stringify(join(root, 'assets/prove'))})
import torch
from softmax import LogSoftmax
x = torch.full((1, 49152), -17.0)
x[0, :32] = 0
exact = x.double().log_softmax(-1)
off = lambda: ((x.log_softmax(-1) - exact)[0, 0] / exact[0, 0].abs()).item()
there = off()
held = LogSoftmax(True)
mended = off()
del held
gc.collect()
after = off()
# what is only looked at is no part of a loss; what a gradient goes through is, and its numbers are torch's own
w = torch.randn(5, 49152, requires_grad=True)
plain = torch.autograd.grad(w.log_softmax(-1).square().sum(), w)[0]
noted = []
for exact in (False, True):
    held = LogSoftmax(exact)
    for loss in (lambda: w.detach().log_softmax(-1), lambda: w.logsumexp(-1), lambda: torch.nn.functional.cross_entropy(w, torch.arange(5))):
        loss()
        with torch.no_grad():
            w.log_softmax(-1)
        noted.append(held.in_loss)
    same = same if exact else torch.equal(plain, torch.autograd.grad(w.log_softmax(-1).square().sum(), w)[0])
    del held
    gc.collect()
print(json.dumps([[there, mended, after], noted, same]))
`,
  )
  const [[there, mended, after], noted, same] = JSON.parse(execFileSync(loaded, [script], { encoding: 'utf8' })) as [
    number[],
    boolean[],
    boolean,
  ]
  expect([noted, same]).toEqual([[false, false, true, false, false, true], true])
  // e⁻¹⁷ is below half a last bit of 1, whichever lane's: all 49,120 are lost. Where torch does so no more, summed.ts has no use
  expect(there).toBeGreaterThan(1e-5)
  // a rounding of the result at the most, and it is torch's own again behind it
  expect(Math.abs(mended!)).toBeLessThanOrEqual(2 ** -23)
  expect(after).toBe(there)
})

it('a base that bitsandbytes misreads is nothing to compare with', async () => {
  const narrow = qlora('narrow', { model_name_or_path: join(fixture, 'model') })
  const { code, err, proof } = await proven(join(folder, 'narrow'), loaded, narrow)
  // without AVX-512 it reads them right
  if (code === 0) expect(proof!.passed).toBe(true)
  else
    expect(err).toMatch(
      /bitsandbytes misreads the 4-bit base here\. It takes \S+ for something \d\d % of its norm away.*64 doesn’t divide its width, (32|48)/,
    )
})

it('Ctrl-C ends both sides and leaves nothing but the folder', async () => {
  const stop = new AbortController()
  const out = join(folder, 'stopped')
  // what ends is a Python of its own, as users have it
  const own = join(folder, 'own-python')
  writeFileSync(own, `#!/bin/sh\n[ "$2" = check ] && exec '${loaded}' "$@"\nexec '${python}' "$@"\n`, { mode: 0o755 })
  const ended = commandLine({ prove }, stop)('prove', lora(), '--device', 'cpu', '--python', own, '--out', out, '--steps', '500')
  while (!existsSync(join(out, 'work/trl/gradients.bin'))) await new Promise((resolve) => setTimeout(resolve, 50))
  stop.abort(new DOMException('stopped by SIGINT', 'AbortError'))
  expect((await ended).code).toBe(130)
  expect(readdirSync(out)).toEqual([])
})
