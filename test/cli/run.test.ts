import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defineVerb } from '../../src/cli/verb.ts'
import { SaqrError } from '../../src/error.ts'
import { renamed } from '../../src/train/options/retired.ts'
import { sftFields, sftThemes } from '../../src/train/options/sft.ts'
import { commandLine } from './saqr.ts'

let seen: { options: Record<string, unknown>; words: string[] } | undefined
const sft = defineVerb({
  name: 'sft',
  summary: 'fine-tune a model',
  usage: '--model_name_or_path MODEL --dataset_name ROWS [options]',
  fields: sftFields,
  themes: sftThemes,
  renamed,
  async run({ options, words }) {
    seen = { options, words }
    if (options.runName === 'fails') throw new SaqrError('TRAIN_NAN', 'loss is not finite')
    if (options.runName === 'aborted') throw new DOMException('stopped by SIGINT', 'AbortError')
    if (options.runName === 'breaks') throw new TypeError('x is undefined')
    if (options.runName === 'in Deno')
      throw Object.assign(new Error('Requires sys access to "cpus", run again with the --allow-sys flag'), { name: 'NotCapable' })
    if (options.runName === 'in Node')
      throw Object.assign(new Error('Access to this API has been restricted'), {
        code: 'ERR_ACCESS_DENIED',
        permission: 'FileSystemWrite',
        resource: '/runs',
      })
    return options.runName === 'stopped' ? 130 : 0
  },
})
const saqr = (...args: string[]) => {
  seen = undefined
  return commandLine({ sft })(...args)
}

describe('saqr', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'saqr-run-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('lists its commands, and its version', async () => {
    expect(await saqr('--help')).toMatchObject({ code: 0, err: '' })
    expect((await saqr('--help')).out).toContain('saqr sft         fine-tune a model')
    expect((await saqr()).code).toBe(1)
    expect((await saqr('help', 'sft', 'lora_r')).out).toMatch(/^--lora_r N\n/)
    expect((await saqr('sft', '--help', 'max-seq-length')).out).toMatch(
      /^--max_seq_length is an older name of --max_length\.\n--max_length N\n/,
    )
    expect((await saqr('sft', '--help', 'no_packing')).out).toMatch(/^--packing\n/)
    expect((await saqr('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it('runs a verb with its options, flags over the config file', async () => {
    const path = join(folder, 'run.yaml')
    writeFileSync(path, 'lora_r: 4\nlearning_rate: 1e-3\ngradient_checkpointing: true\n')
    const { code, err } = await saqr('sft', '--config', path, '--lora-r', '8', '--use_peft')
    expect(code).toBe(0)
    expect(seen!.options).toMatchObject({ loraR: 8, learningRate: 1e-3, usePeft: true })
    expect(err).toBe(
      `gradient_checkpointing in ${path}: the planner keeps, recomputes or moves activations block by block to fit --memory\n`,
    )
  })

  it.each([
    ['simpo', /there is no command simpo: saqr cpo --loss_type simpo/],
    ['train', /there is no command train: saqr sft trains a model/],
    ['merge', /saqr export --merged/],
    ['gguf', /saqr export --gguf/],
    ['sfft', /did you mean saqr sft\?/],
    ['--lora_r', /a command comes first \(sft\), then its options: saqr sft --lora_r/],
  ])('says what there is instead of %s', async (name, message) => {
    expect((await saqr(name)).err).toMatch(message)
  })

  it('knows short names and those of other trainers', async () => {
    for (const [said, meant] of [
      ['--lr', '--learning_rate'],
      ['--epochs', '--num_train_epochs'],
      ['--cutoff_len', '--max_length'],
      ['--rank', '--lora_r'],
    ])
      expect((await saqr('sft', said!, '1')).err).toContain(`unknown option ${said}; did you mean ${meant}?`)
  })

  it('passes on the exit code of the verb', async () => {
    expect((await saqr('sft', '--run_name', 'stopped')).code).toBe(130)
    expect(await saqr('sft', '--run_name', 'aborted')).toEqual({ code: 130, out: '', err: '' })
  })

  it.each([
    [['sft', '--lora_rnk', '3'], 'error OPTION_UNKNOWN: unknown option --lora_rnk; did you mean --lora_r?\n'],
    [
      ['sft', '--use_dora'],
      'error OPTION_REFUSED: --use_dora true is refused: DoRA is not supported yet; use plain LoRA or --use_rslora\n',
    ],
    [['sft', 'rows.json'], 'error OPTION_INVALID: saqr sft has no use for rows.json: did you mean --dataset_name rows.json?\n'],
    [['sft', 'run.yml'], 'error OPTION_INVALID: saqr sft has no use for run.yml: did you mean --config run.yml?\n'],
    [['sft', 'train'], 'error OPTION_INVALID: saqr sft has no use for train: options begin with --\n'],
    [
      ['sft', '--output_dir', 'my', 'run'],
      'error OPTION_INVALID: saqr sft has no use for run: --output_dir takes one value; put quotes around a value with spaces\n',
    ],
    [
      ['sft', '--packing', 'maybe'],
      'error OPTION_INVALID: saqr sft has no use for maybe: --packing takes true, false or nothing; put quotes around a value with spaces\n',
    ],
    [['stf'], 'error OPTION_UNKNOWN: unknown command stf; did you mean saqr sft?\n'],
    [['sft', '--run_name', 'fails'], 'error TRAIN_NAN: loss is not finite\n'],
    [['sft', '--run_name', 'breaks'], 'error INTERNAL: x is undefined (--verbose shows where)\n'],
    [
      ['sft', '--run_name', 'in Deno'],
      /^error RUNTIME_PERMISSION: .*sys access to "cpus", run again with the --allow-sys flag\. saqr runs with --allow-read .*--allow-ffi.*\n$/,
    ],
    [
      ['sft', '--run_name', 'in Node'],
      /^error RUNTIME_PERMISSION: .*\(FileSystemWrite of \/runs\).* saqr runs with --allow-addons .*--allow-fs-write.*\n$/,
    ],
    [['sft', '--report_to', 'wandb,tensorboard'], /not wandb,tensorboard; did you mean wandb tensorboard\?\n$/],
    [['vllm-serve'], 'error OPTION_UNKNOWN: there is no command vllm-serve: saqr serve answers over HTTP as OpenAI’s API does\n'],
    [['sft', '--help', 'lora_rnk'], 'error OPTION_UNKNOWN: saqr sft has no option lora_rnk; did you mean lora_r?\n'],
  ])('%j: one clear line and exit code 1', async (args, message) => {
    expect(await saqr(...args)).toEqual({ code: 1, out: '', err: typeof message === 'string' ? message : expect.stringMatching(message) })
  })

  it('shows the stack with --verbose', async () => {
    const { code, err } = await saqr('sft', '--run_name', 'fails', '--verbose')
    expect(code).toBe(1)
    expect(err).toMatch(/^SaqrError: loss is not finite\n +at /)
  })

  it('has a help page made from the tables', async () => {
    const { code, out } = await saqr('sft', '-h')
    expect(code).toBe(0)
    expect(seen).toBeUndefined()
    for (const [name, field] of Object.entries(sftFields)) if (field.status === 'honoured') expect(out).toContain(`  --${name}`)
    expect(out).toContain('  --lora_r N                      rank of the adapter (default: 16)\n')
    expect(out).toMatch(/Accepted, though there is nothing left for them to do:\n {2}attn_implementation, /)
    expect(out).toMatch(/Not supported; accepted only at their default:\n {2}model_init_kwargs, /)
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  it('says more about one option', async () => {
    expect((await saqr('sft', '--help', 'use-dora')).out).toBe(
      '--use_dora\n  Refused unless false: DoRA is not supported yet; use plain LoRA or --use_rslora.\n',
    )
    expect((await saqr('sft', '--help', 'padding_free')).out).toContain('Accepted, though there is nothing left for it to do: ')
    expect((await saqr('sft', '--help', 'optim')).out).toContain('\n  refuses adamw_torch_4bit or adamw_torch_8bit: ')
    expect((await saqr('sft', '--help', 'lora_r')).out).toBe(
      '--lora_r N\n  rank of the adapter.\n  takes a whole number of at least 1\n  default: 16\n  no effect without --use_peft\n',
    )
    // what is left out is told once
    expect((await saqr('sft', '--help', 'memory')).out).not.toContain('default: none')
  })
})
