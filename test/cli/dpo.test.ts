/** `saqr dpo` on a tiny model: from pairs and a YAML as TRL has it to an adapter that generates. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dpo } from '../../src/cli/verbs/dpo.ts'
import { generate } from '../../src/cli/verbs/generate.ts'
import { kto } from '../../src/cli/verbs/kto.ts'
import { orpo } from '../../src/cli/verbs/orpo.ts'
import { commandLine } from './saqr.ts'
import { writeTinyModel } from './tiny-model.ts'

const saqr = commandLine({ dpo, orpo, kto, generate })

let folder = ''
let config: string[] = []
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'saqr-dpo-cli-'))
  const model = join(folder, 'model')
  await writeTinyModel(model)
  const pair = (n: number) => ({ prompt: `what comes after ${n}? `, chosen: `${n + 1}`, rejected: `${n - 1}, I think` })
  const lines = (from: number, count: number) => Array.from({ length: count }, (_, i) => `${JSON.stringify(pair(from + i))}\n`).join('')
  writeFileSync(join(folder, 'pairs.jsonl'), lines(1, 24))
  writeFileSync(join(folder, 'held-out.jsonl'), lines(40, 8))
  const yaml = [
    ...[
      `model_name_or_path: ${model}`,
      `dataset_name: ${join(folder, 'pairs.jsonl')}`,
      `eval_dataset_name: ${join(folder, 'held-out.jsonl')}`,
    ],
    ...['dataset_test_split: train', 'eval_strategy: steps', 'eval_steps: 10', 'per_device_train_batch_size: 4', 'learning_rate: 1e-2'],
    ...[
      'max_steps: 20',
      'logging_steps: 5',
      'bf16: false',
      'use_peft: true',
      'lora_target_modules: all-linear',
      'loss_type: sigmoid',
      'device: cpu',
    ],
  ]
  writeFileSync(join(folder, 'run.yaml'), `${yaml.join('\n')}\n`)
  config = ['--config', join(folder, 'run.yaml')]
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('saqr dpo', () => {
  it('trains an adapter towards the chosen answers, and says how sure it has become', async () => {
    const out = join(folder, 'out')
    const { code, out: text, err } = await saqr('dpo', ...config, '--report_to', 'jsonl', '--output_dir', out)
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(text).toMatch(/24 rows of prompt, chosen and rejected/)
    expect(text).toMatch(/accuracy .*margin /)
    const events = readFileSync(join(out, 'events.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const scores = events.filter(({ type }) => type === 'eval').map(({ metrics }) => metrics['evalRewards/accuracies'])
    expect(scores.length).toBe(2)
    expect(scores.at(-1)).toBe(1)
    expect(existsSync(join(out, 'adapter_model.safetensors'))).toBe(true)
    expect(
      (await saqr('generate', '--model_name_or_path', out, '--device', 'cpu', '--no_bf16', '--max_new_tokens', '3', 'what comes after 5? '))
        .code,
    ).toBe(0)
  })

  it('has orpo beside it, on the same rows', async () => {
    const out = join(folder, 'orpo')
    const yaml = join(folder, 'orpo.yaml')
    writeFileSync(yaml, readFileSync(join(folder, 'run.yaml'), 'utf8').replace('loss_type: sigmoid\n', ''))
    const { code, out: text, err } = await saqr('orpo', '--config', yaml, '--output_dir', out)
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(text).toMatch(/evalRewards|accuracy/)
    expect((await saqr('orpo', '--config', yaml, '--loss_type', 'sigmoid')).err).toMatch(/unknown option --loss_type/)
  })

  it('has kto beside it, which takes pairs apart', async () => {
    const out = join(folder, 'kto')
    const yaml = join(folder, 'kto.yaml')
    writeFileSync(yaml, readFileSync(join(folder, 'run.yaml'), 'utf8').replace('loss_type: sigmoid', 'loss_type: kto'))
    const { code, out: text, err } = await saqr('kto', '--config', yaml, '--output_dir', out)
    expect(err).toBe('')
    expect(code).toBe(0)
    expect(text).toMatch(/48 rows of prompt, completion and label/)
    expect((await saqr('kto', '--config', yaml, '--per_device_train_batch_size', '1')).err).toMatch(/needs micro-batches of 2 rows or more/)
    expect((await saqr('kto', '--config', yaml, '--train_sampling_strategy', 'random')).err).toMatch(
      /needs --train_sampling_strategy sequential/,
    )
  })

  it('takes several losses as TRL’s command line does', async () => {
    const out = join(folder, 'mixed')
    const mixed = [
      '--loss_type',
      'sigmoid',
      'sft',
      '--loss_weights',
      '1',
      '0.5',
      '--max_steps',
      '2',
      '--eval_strategy',
      'no',
      '--output_dir',
      out,
    ]
    expect((await saqr('dpo', ...config, ...mixed)).code).toBe(0)
  })

  it.each([
    [['--rpo_alpha', '1'], /--rpo_alpha 1 is refused: it is a loss of its own in TRL 1.16: loss_type .* sigmoid sft/],
    [['--loss_type', 'dpo'], /loss_type/],
    [['--packing'], /unknown option --packing/],
    [['--dataset_name', 'nowhere.jsonl'], /nowhere\.jsonl/],
  ])('refuses %j', async (flags, message) => {
    const { code, err } = await saqr('dpo', ...config, ...flags)
    expect(code).toBe(1)
    expect(err).toMatch(message)
  })
})
