import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/cli/config-file.ts'
import { parseFlags } from '../../src/cli/flags.ts'
import { renamed } from '../../src/train/options/retired.ts'
import { sftFields } from '../../src/train/options/sft.ts'

const parse = (...args: string[]) => {
  const { given, strays } = parseFlags(args, sftFields, renamed)
  return { values: Object.fromEntries(given.map((g) => [g.name, g.value])), words: strays.map(({ word }) => word) }
}
const values = (...args: string[]) => parse(...args).values

describe('flags', () => {
  it('may be written with _ or -, with or without =', () => {
    expect(values('--lora_r', '8', '--lora-alpha', '16', '--learning-rate=2e-4', '--dataset_name=a=b.json')).toEqual({
      lora_r: 8,
      lora_alpha: 16,
      learning_rate: 2e-4,
      dataset_name: 'a=b.json',
    })
  })

  it('that are booleans stand alone, take a word, or are denied', () => {
    expect(values('--packing', '--use_peft', 'true', '--bf16', 'False', '--no_gradient_checkpointing', '--no-prefix-sharing')).toEqual({
      packing: true,
      use_peft: true,
      bf16: false,
      gradient_checkpointing: false,
      prefix_sharing: false,
    })
    expect(values('--packing', 'yes', '--use_peft', '0', '--completion_only_loss=no')).toEqual({
      packing: true,
      use_peft: false,
      completion_only_loss: false,
    })
    expect(parse('--packing', 'config.json')).toEqual({ values: { packing: true }, words: ['config.json'] })
  })

  it('that are lists take words up to the next flag, or JSON', () => {
    const list = { lora_target_modules: ['q_proj', 'v_proj'], lora_r: 4 }
    expect(values('--lora_target_modules', 'q_proj', 'v_proj', '--lora_r', '4')).toEqual(list)
    expect(values('--lora_target_modules', '["q_proj","v_proj"]', '--lora_r=4')).toEqual(list)
    expect(values('--lora_target_modules', 'all-linear')).toEqual({ lora_target_modules: 'all-linear' })
    expect(values('--lora_modules_to_save', 'lm_head')).toEqual({ lora_modules_to_save: ['lm_head'] })
    expect(values('--report_to', 'jsonl')).toEqual({ report_to: 'jsonl' })
  })

  it('that are mappings take JSON', () => {
    expect(values('--lr_scheduler_kwargs', '{"num_cycles": 2}')).toEqual({ lr_scheduler_kwargs: { num_cycles: 2 } })
    expect(values('--deepspeed', 'zero2.json')).toEqual({ deepspeed: 'zero2.json' })
  })

  it('can be unset with none, but not where none is a word', () => {
    expect(values('--max_length', 'none', '--report_to', 'none', '--eos_token', 'none')).toEqual({
      max_length: null,
      report_to: 'none',
      eos_token: 'none',
    })
  })

  it('take negative numbers and odd tokens as values', () => {
    expect(values('--max_steps', '-1', '--eos_token', '<|im_end|>', '--dataset_text_field=--text')).toEqual({
      max_steps: -1,
      eos_token: '<|im_end|>',
      dataset_text_field: '--text',
    })
  })

  it('leave text that only looks like a number to text options', () => {
    expect(values('--model_revision', '1234', '--run_name', '7', '--memory', '8GB')).toEqual({
      model_revision: '1234',
      run_name: '7',
      memory: '8GB',
    })
  })

  it('of older versions are taken under their new name', () => {
    expect(values('--max_seq_length', '512', '--torch-dtype', 'auto')).toEqual({ max_length: 512, dtype: 'auto' })
  })

  it.each([
    [['--lora_rnak', '3'], 'unknown option --lora_rnak; did you mean --lora_r?'],
    [['--no_lora_r'], 'unknown option --no_lora_r'],
    [['-x'], 'unknown option -x'],
    [['-lora_r', '8'], 'unknown option -lora_r; did you mean --lora_r?'],
    [['--warmup_steps', '0', '--warmup-ratio', '0.1'], '--warmup-ratio and --warmup_steps mean the same; keep the latter'],
    [['--lora_r'], '--lora_r needs a value: a whole number of at least 1'],
    [['--deepspeed'], '--deepspeed is refused: training on several devices is not supported yet'],
    [['--lora_r', '--packing'], '--lora_r needs a value'],
    [['--no_packing=true'], '--no_packing takes no value'],
  ])('%j is an error', (args, message) => {
    expect(() => parseFlags(args, sftFields, renamed)).toThrow(message)
  })
})

describe('config file', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'saqr-config-'))
    mkdirSync(folder, { recursive: true })
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const read = (text: string) => {
    const path = join(folder, 'run.yaml')
    writeFileSync(path, text)
    return readConfig(path, sftFields, renamed)
  }

  it('gives typed values, also where YAML 1.1 and 1.2 differ', () => {
    const { given, env } = read(
      'env:\n  HF_HOME: cache\nmodel_name_or_path: a/b\nlearning_rate: 2e-4\nlora-r: "8"\npacking: yes\neval_strategy: no\nmax_length: null\nlora_target_modules:\n  - q_proj\n  - v_proj\nlr_scheduler_kwargs: {}\nwarmup_ratio: 0.1\n',
    )
    expect(env).toEqual({ HF_HOME: 'cache' })
    expect(given.map((g) => [g.name, g.value])).toEqual([
      ['model_name_or_path', 'a/b'],
      ['learning_rate', 2e-4],
      ['lora_r', 8],
      ['packing', true],
      ['eval_strategy', 'no'],
      ['max_length', null],
      ['lora_target_modules', ['q_proj', 'v_proj']],
      ['lr_scheduler_kwargs', {}],
      ['warmup_steps', 0.1],
    ])
    expect(given[2]!.said).toBe(`lora-r in ${join(folder, 'run.yaml')}`)
  })

  it.each([
    ['lora_rank: 3', /unknown option lora_rank in .*run\.yaml; did you mean lora_r\?/],
    ['- a\n- b', /run\.yaml: expected a mapping/],
    ['a: [1', /run\.yaml:1:\d+: /],
    ['lora_r: 1\nlora_r: 2', /run\.yaml:2:1: Map keys must be unique/],
    ['max_seq_length: 1\nmax_length: 2', /max_seq_length in .* and max_length in .* mean the same/],
    ['env: [1]', /env must be a mapping/],
  ])('%j is an error that names the place', (text, message) => {
    expect(() => read(text)).toThrow(message)
  })

  it('that is not there is an error', () => {
    expect(() => readConfig(join(folder, 'none.yaml'), sftFields)).toThrow(
      /--config: .*none\.yaml does not exist: there is no none\.yaml in /,
    )
  })
})
