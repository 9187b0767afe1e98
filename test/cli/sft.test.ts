/** The commands on a tiny model, from config file to trained adapter and back. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generate } from '../../src/cli/verbs/generate.ts'
import { plan } from '../../src/cli/verbs/plan.ts'
import { sft } from '../../src/cli/verbs/sft.ts'
import { readSafetensors } from '../../src/formats/safetensors/read.ts'
import type { StartEvent, TrainEvent } from '../../src/track/events.ts'
import type { PlanReport } from '../../src/train/plan-report.ts'
import { commandLine } from './saqr.ts'
import { shape, tinyRows, writeTinyModel } from './tiny-model.ts'

const saqr = commandLine({ sft, plan, generate })

let folder = ''
let model = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-sft-'))
  model = join(folder, 'model')
  await writeTinyModel(model)
  const rows = join(folder, 'train.jsonl')
  writeFileSync(rows, tinyRows())
  writeFileSync(
    join(folder, 'run.yaml'),
    `model_name_or_path: ${model}\ndataset_name: ${rows}\nmax_length: 64\nper_device_train_batch_size: 4\nlearning_rate: 1e-2\ndevice: cpu\nmax_pass_tokens: 256\n`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

const config = () => ['--config', join(folder, 'run.yaml')]
const lora = ['--use_peft', '--lora_target_modules', 'all-linear', '--no_bf16']
const eventsOf = (out: string) =>
  readFileSync(join(out, 'events.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TrainEvent)

describe('saqr sft', () => {
  it('trains an adapter, tells how it goes, and leaves what generate and PEFT read', async () => {
    const out = join(folder, 'lora')
    const {
      code,
      out: text,
      err,
    } = await saqr(
      ...[
        'sft',
        ...config(),
        ...lora,
        '--max_steps',
        '6',
        '--logging_steps',
        '2',
        '--save_steps',
        '4',
        '--report_to',
        'jsonl',
        '--output_dir',
        out,
      ],
    )
    expect([code, err]).toEqual([0, expect.not.stringContaining('error')])
    const lines = text.split('\n')
    expect(lines[0]).toMatch(/^rows don’t share their beginnings: lora_dropout is 0\.05; it would save \d+ of [\d,]+ tokens an epoch$/)
    expect(lines.filter((line) => line.startsWith('step '))).toHaveLength(3)
    expect(text).toContain(`saved ${join(out, 'checkpoint-4')}\n`)
    for (const file of ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json', 'checkpoint-4/trainer_state.json'])
      expect(existsSync(join(out, file)), file).toBe(true)
    const adapter = JSON.parse(readFileSync(join(out, 'adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(adapter).toMatchObject({
      peft_type: 'LORA',
      r: 16,
      lora_alpha: 32,
      target_modules: 'all-linear',
      base_model_name_or_path: model,
    })
    const events = eventsOf(out)
    expect(events.filter((e) => e.type === 'log').map((e) => e.step)).toEqual([2, 4, 6])

    const said = await saqr('generate', '--model_name_or_path', out, '--no_bf16', '--device', 'cpu', '--max_new_tokens', '4', 'the white')
    expect(said.code).toBe(0)
    expect(said.out.trim().length).toBeGreaterThan(0)
  })

  it('saves the tokenizer with the template and the end token that it was trained with, and generate takes it from there', async () => {
    const template = join(folder, 'say.jinja')
    writeFileSync(template, '{% for m in messages %}{{ m.content }}{% endfor %}')
    const rows = join(folder, 'chat.jsonl')
    const messages = [
      { role: 'user', content: 'who waits? ' },
      { role: 'assistant', content: 'the heron' },
    ]
    writeFileSync(rows, `${JSON.stringify({ messages })}\n`)
    const out = join(folder, 'chat')
    const chat = ['--dataset_name', rows, '--chat_template_path', template, '--eos_token', '<s>', '--max_steps', '1', '--save_steps', '1']
    expect((await saqr('sft', ...config(), ...lora, ...chat, '--output_dir', out)).code).toBe(0)
    for (const place of [out, join(out, 'checkpoint-1')]) {
      expect(readFileSync(join(place, 'chat_template.jinja'), 'utf8')).toBe(readFileSync(template, 'utf8'))
      expect(JSON.parse(readFileSync(join(place, 'tokenizer_config.json'), 'utf8'))).toMatchObject({ eos_token: '<s>' })
    }
    const say = ['generate', '--model_name_or_path', out, '--no_bf16', '--device', 'cpu', '--max_new_tokens', '2']
    expect((await saqr(...say, '--chat', 'who waits?')).code).toBe(0)
  })

  it('logs the hash that plan prints for the same options', async () => {
    const out = join(folder, 'hash')
    await saqr('sft', ...config(), ...lora, '--max_steps', '1', '--report_to', 'jsonl', '--output_dir', out)
    const logged = (eventsOf(out)[0] as StartEvent).planHash
    const report = JSON.parse((await saqr('plan', join(model, 'config.json'), ...config(), ...lora, '--json')).out) as PlanReport
    expect(report.hash).toBe(logged)
    expect((await saqr('plan', ...config(), ...lora)).out).toContain(`plan ${logged}\n`)
    const other = JSON.parse((await saqr('plan', ...config(), ...lora, '--lora_r', '4', '--json')).out) as PlanReport
    expect(other.hash).not.toBe(logged)
  })

  it('goes on from an adapter folder, and from a checkpoint', async () => {
    const first = join(folder, 'first')
    const args = ['sft', ...config(), '--no_bf16', '--logging_steps', '1', '--report_to', 'jsonl', '--save_strategy', 'no']
    await saqr(...args, ...lora, '--max_steps', '2', '--output_dir', first)
    const second = join(folder, 'second')
    expect((await saqr(...args, '--model_name_or_path', first, '--max_steps', '1', '--output_dir', second)).code).toBe(0)
    const refused = await saqr(...args, ...lora, '--model_name_or_path', first, '--output_dir', second)
    expect(refused).toEqual({
      code: 1,
      out: '',
      err: `error OPTION_INVALID: ${first} is an adapter, which is trained on as it is; leave --use_peft out\n`,
    })
    const again = [...args, '--model_name_or_path', first, '--max_steps', '1', '--output_dir', second]
    const other = await saqr(...again, '--lora_r', '64', '--lora_alpha', '32', '--lora_target_modules', 'q_proj')
    expect([other.code, other.out]).toEqual([1, ''])
    expect(other.err).toMatch(
      /^error OPTION_INVALID: .*first has an adapter already \(LoRA r 16\), of another --lora_r, --lora_target_modules: train it as it is, without them; or merge it/,
    )
    expect((await saqr(...again, '--lora_target_modules', 'all-linear')).code).toBe(0)

    const whole = join(folder, 'whole')
    const steps = [...args.slice(0, -2), ...lora, '--max_steps', '4', '--save_steps', '2', '--output_dir']
    await saqr(...steps, whole)
    expect((await saqr(...steps, join(folder, 'resumed'), '--resume_from_checkpoint', join(whole, 'checkpoint-2'))).code).toBe(0)
    const weights = (out: string) => readFileSync(join(out, 'adapter_model.safetensors'))
    expect(weights(join(folder, 'resumed')).equals(weights(whole))).toBe(true)
  })

  it('saves each expert by itself where it is asked to, and refuses before it trains where there is none', async () => {
    const run = ['sft', ...config(), ...lora, '--max_steps', '1', '--unfuse_experts', '--output_dir']
    const none = await saqr(...run, join(folder, 'none'))
    expect([none.code, none.out]).toEqual([1, ''])
    expect(none.err).toMatch(/^error OPTION_INVALID: --unfuse_experts writes .* the experts of this model have none: leave it out/)
    const out = join(folder, 'unfused')
    const mixtral = join(import.meta.dirname, '../fixtures/training/mixtral/model')
    expect((await saqr(...run, out, '--model_name_or_path', mixtral, '--lora_dropout', '0')).code).toBe(0)
    const names = (place: string) => [...readSafetensors(join(place, 'adapter_model.safetensors')).tensors.keys()]
    expect(names(out)).toContain('base_model.model.model.layers.0.block_sparse_moe.experts.2.w1.lora_A.weight')
    expect(names(out).some((name) => name.includes('mlp.experts.lora_A'))).toBe(false)
    expect(names(join(out, 'checkpoint-1'))).toContain('base_model.model.model.layers.0.mlp.experts.lora_A.weight')
  })

  it('tells once what has no effect, and names a curve only where there is one', async () => {
    const out = join(folder, 'idle')
    const run = ['sft', ...config(), ...lora, '--max_steps', '1', '--save_strategy', 'no', '--output_dir', out]
    const idle = await saqr(...run, '--eval_steps', '2', '--warmup_steps', '3', '--lr_scheduler_type', 'constant')
    expect(idle.err).toBe(
      '--warmup_steps has no effect with this --lr_scheduler_type, which does not warm up\n--eval_steps has no effect without --eval_strategy steps\n',
    )
    expect(idle.out).not.toContain('no effect')
    expect(idle.out).toContain(`\nsaved ${out}\ntry it`)
    expect(existsSync(join(out, 'loss.svg'))).toBe(false)
    expect((await saqr(...run, '--logging_steps', '1')).out).toContain(`saved ${out}, its loss curve in ${join(out, 'loss.svg')}\n`)
  })

  it('counts as targets what is scored: no first token of a row', async () => {
    const out = join(folder, 'targets')
    const run = ['sft', ...config(), ...lora, '--max_steps', '1', '--save_strategy', 'no', '--report_to', 'jsonl', '--output_dir', out]
    for (const packing of [[], ['--packing'], ['--packing', '--packing_strategy', 'wrapped']]) {
      await saqr(...run, ...packing)
      const { rows, rowTokens, targets } = eventsOf(out).findLast((e) => e.type === 'start')!
      // every token of these rows is learned; wrapped, rows see each other and a pack is one sequence
      expect(rowTokens - targets).toBe(packing.includes('wrapped') ? rows : tinyRows().trimEnd().split('\n').length)
    }
  })

  it('saves a checkpoint when it is stopped, says how to go on, and exits with 130', async () => {
    const controller = new AbortController()
    const stopped = commandLine({ sft: { ...sft, run: stopAfter(controller, 2) } }, controller)
    const out = join(folder, 'stopped')
    const result = await stopped('sft', ...config(), ...lora, '--logging_steps', '1', '--output_dir', out)
    expect(result.code).toBe(130)
    expect(result.out).toMatch(/\nstopped after \d+ steps.*\n.* tokens, .*\ngo on with --resume_from_checkpoint .*checkpoint-\d+\n$/)
    expect(existsSync(join(out, 'adapter_model.safetensors'))).toBe(false)
  })

  it.each([
    [[], /adapter instead of all weights \(--use_peft\)\.$/, /load_in_4bit/],
    [['--optim', 'adamw_8bit'], /or an adapter instead of all weights/, /adamw_8bit/],
    [['--use_peft', '--load_in_4bit'], / or --optim adamw_8bit\.$/, /load_in_4bit|use_peft/],
    [['--use_peft', '--load_in_4bit', '--optim', 'adamw_8bit'], /or take a smaller max_length in \S+\.$/, /load_in_4bit|adamw_8bit/],
    [['--use_peft', '--optim', 'adamw_8bit'], /a base in 4 bits \(--load_in_4bit\)\.$/, /adamw_8bit/],
  ])('a budget that is too small, with %o, is told what is not on yet, in its own unit', async (args, advice, silent) => {
    const budget = ['--memory', '0.1GB', '--max_pass_tokens', 'none', '--output_dir', join(folder, 'small')]
    const { err } = await saqr('sft', ...config(), ...budget, ...args)
    expect(err).toMatch(
      /^error MEMORY_BUDGET: 0\.1GB of memory are too little: passes of 64 tokens need 0\.1\dGB, everything recomputed\. Give --memory 0\.1\dGB, or take /,
    )
    expect(err.trimEnd()).toMatch(advice)
    expect(err).not.toMatch(silent)
  })

  it.each([
    [['--dataset_name', '/nowhere.json'], 'FORMAT_NOT_FOUND'],
    [['--model_name_or_path', '/nowhere'], 'FORMAT_NOT_FOUND'],
    [['--lora_r', '8'], 'OPTION_INVALID: --lora_r has no effect without --use_peft: all weights would be trained'],
    [['--dataset_config', 'x'], 'is a file and has no configurations, so there is no x'],
    [['--load_in_4bit'], 'OPTION_INVALID: the weights of a 4-bit base can’t be trained; add --use_peft'],
    [['--use_peft', '--memory', '1MB'], 'MEMORY_BUDGET'],
    [['--use_peft', '--lora_target_modules', 'nothing'], 'OPTION_MODULES'],
    [['--use_peft', '--output_dir', '/dev/null/out'], 'error '],
    // raised far below the command line, and named as it was written there
    [['--max-pass-tokens', '20'], 'Set max_length in '],
    [['--max-pass-tokens', '20'], 'allow larger passes (--max-pass-tokens).'],
    [['--packing', '--max_length', 'none'], 'packing needs --max_length, which is'],
    [['--logging-steps', '0'], '--logging-steps is 0; use --logging_strategy no'],
    [
      ['--eval_strategy', 'epoch'],
      'OPTION_INVALID: --eval_strategy needs rows that are not trained on, and a file has no split test: name some with --eval_dataset_name, or a slice',
    ],
    [['--assistant_only_loss'], 'OPTION_INVALID: --assistant_only_loss needs conversations'],
  ])('%j is one clear error', async (args, message) => {
    const { code, err } = await saqr('sft', ...config(), '--output_dir', join(folder, 'bad'), ...args)
    expect(code).toBe(1)
    expect(err).toContain(message)
    expect(err.trimEnd().split('\n')).toHaveLength(1)
  })
})

/** sft's own run, stopped when the log of step `n` is printed */
function stopAfter(controller: AbortController, n: number): typeof sft.run {
  return (call) =>
    sft.run({
      ...call,
      io: {
        ...call.io,
        out: {
          ...call.io.out,
          write(text) {
            call.io.out.write(text)
            if (text.startsWith(`step ${n}/`)) controller.abort(new DOMException('stopped', 'AbortError'))
          },
        },
      },
    })
}

describe('saqr plan', () => {
  it('prints memory, work and time', async () => {
    const { code, out } = await saqr('plan', join(model, 'config.json'), ...config(), ...lora)
    expect(code).toBe(0)
    expect(out).toMatch(/^.*config\.json: llama, 2 layers, [\d.]+ k parameters, [\d.]+ k trained, in f32\ncpu, \d+ threads/)
    expect(out).toMatch(/\na step: 4 rows of 64 tokens in 1 pass of at most 256, the head in chunks of 256\n/)
    expect(out).toMatch(/\n {2}memory +at most +at peak\n/)
  })

  it('counts the work of a step as the products it is made of', async () => {
    const report = JSON.parse((await saqr('plan', ...config(), '--no_bf16', '--json')).out) as PlanReport
    // full training: forward 2·T·weights of linears, backward twice that; attention and norms come on top
    const { channels, heads, kvHeads, headDim, hidden, layers } = shape
    const linears = layers * channels * (2 * heads * headDim + 2 * kvHeads * headDim + 3 * hidden)
    const products = 2 * 256 * linears
    const of = (name: string) => report.flops.segments.find((s) => s.name === name)!.flops
    expect(of('forward')).toBeGreaterThan(products)
    expect(of('forward')).toBeLessThan(1.5 * products)
    expect(of('backward')).toBeGreaterThan(2 * products)
    expect(report.flops.total).toBe(of('forward') + of('head') + of('backward') + of('optimizer'))
    expect(report.parameters.all).toBe(report.parameters.trained)
    expect(report.memory.lines.reduce((sum, line) => sum + line.atPeak, 0)).toBe(report.memory.total)
  })

  it('fetches nothing from the Hub, and says so', async () => {
    const { err } = await saqr('plan', 'owner/name')
    expect(err).toMatch(/^error OPTION_INVALID: owner\/name is not a file or folder here, and saqr plan fetches nothing from the Hub/)
    expect((await saqr('plan', './config.json')).err).toMatch(/^error FORMAT_NOT_FOUND: /)
  })

  it('needs a model', async () => {
    expect((await saqr('plan')).err).toBe('error OPTION_INVALID: saqr plan needs a model: a config.json, a model folder or a .gguf file\n')
  })
})

describe('saqr generate', () => {
  const ask = (...args: string[]) =>
    saqr('generate', '--model_name_or_path', model, '--no_bf16', '--device', 'cpu', '--max_new_tokens', '6', ...args)

  it('draws the same text for the same seed', async () => {
    const drawn = (seed: string) => ask('--temperature', '1', '--seed', seed, 'the white falcon')
    expect((await drawn('1')).out).toBe((await drawn('1')).out)
    expect((await drawn('1')).out).not.toBe((await drawn('2')).out)
  })

  it('tells what is passed over', async () => {
    expect((await ask('--prompt', 'the white', 'falcon', 'waits')).err).toBe(
      'error OPTION_INVALID: there are two prompts, --prompt and the words falcon waits: keep one, in quotes where it has spaces\n',
    )
    expect((await ask('--top_k', '4', '--seed', '3', 'x')).err).toBe('--top_k and --seed have no effect without --temperature\n')
    expect((await ask('--temperature', '1', '--top_k', '4', '--seed', '3', 'x')).err).toBe('')
  })

  it('has help of its own where training has another', async () => {
    const { out } = await saqr('generate', '--help')
    expect(out).toContain('--load_in_4bit ')
    expect(out).not.toMatch(/train/)
  })

  it('says what is missing', async () => {
    expect((await saqr('generate', 'x')).err).toContain('no model')
    expect((await ask('--system', 'be short', 'x')).err).toContain('--system goes into a chat template, and the prompt does not')
    expect((await ask('--chat', 'x')).err).toContain('TEXT_NO_TEMPLATE')
  })
})
