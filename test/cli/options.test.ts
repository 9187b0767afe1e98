import { inspect } from 'node:util'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { distance, nearest } from '../../src/hub/nearest.ts'
import { adapterConfig } from '../../src/train/options/adapter.ts'
import { expected } from '../../src/train/options/expected.ts'
import { camel, type InputOf } from '../../src/train/options/field.ts'
import { resolve, resolveObject } from '../../src/train/options/resolve.ts'
import { configFields, type SFTConfig, type SftOptions, sftFields, type TrainingOptions } from '../../src/train/options/sft.ts'
import { catching, given } from './given.ts'

type SftInput = InputOf<typeof sftFields>

describe('names', () => {
  it('become camelCase by one rule', () => {
    const names = ['seed', 'lora_r', 'load_in_4bit', 'bnb_4bit_quant_type', 'adam_beta1', 'per_device_train_batch_size']
    expect(names.map(camel)).toEqual(['seed', 'loraR', 'loadIn4bit', 'bnb4bitQuantType', 'adamBeta1', 'perDeviceTrainBatchSize'])
  })

  it('and the types follow the same rule', () => {
    expectTypeOf<SftOptions['loadIn4bit']>().toEqualTypeOf<boolean>()
    expectTypeOf<SftOptions['maxLength']>().toEqualTypeOf<number | null>()
    expectTypeOf<SftOptions['truncationMode']>().toEqualTypeOf<'keep_start' | 'keep_end'>()
    expectTypeOf<SftOptions>().toExtend<TrainingOptions>()
    expectTypeOf<SFTConfig['learningRate']>().toEqualTypeOf<number | undefined>()
    // subsumed options may be brought along; refused ones at their default
    expectTypeOf<SFTConfig>().toHaveProperty('gradientCheckpointing')
    expectTypeOf<SFTConfig['labelSmoothingFactor']>().toEqualTypeOf<0 | undefined>()
    expectTypeOf<TrainingOptions>().not.toHaveProperty('gradientCheckpointing')
  })

  it('mistyped are told the nearest', () => {
    expect(nearest('lora_rank', Object.keys(sftFields))).toBe('lora_r')
    expect(nearest('learning_rat', Object.keys(sftFields))).toBe('learning_rate')
    expect(nearest('batch_size', Object.keys(sftFields))).toBe('per_device_train_batch_size')
    expect(nearest('quux', Object.keys(sftFields))).toBeUndefined()
    expect(distance('ab', 'ba')).toBe(1)
    expect(distance('', 'abc')).toBe(3)
  })
})

describe('resolve', () => {
  it('gives TRL’s defaults', () => {
    const { options, notes } = resolve(sftFields, [])
    expect(options).toMatchObject({
      learningRate: 2e-5,
      maxLength: 1024,
      loraDropout: 0.05,
      optim: 'adamw_torch_fused',
      memory: null,
      prefixSharing: true,
    })
    expect(options).not.toHaveProperty('gradientCheckpointing')
    expect(notes).toEqual([])
  })

  it('takes the last of several values', () => {
    expect(resolve(sftFields, [...given({ seed: 8 }), ...given({ seed: 32 })]).options.seed).toBe(32)
  })

  it('says what a subsumed option is subsumed by', () => {
    expect(resolve(sftFields, given({ gradient_checkpointing: true })).notes).toEqual([
      '--gradient_checkpointing: the planner keeps, recomputes or moves activations block by block to fit --memory',
    ])
  })

  it.each([
    [{ use_dora: true }, 'OPTION_REFUSED', '--use_dora true is refused: DoRA is not supported yet; use plain LoRA or --use_rslora'],
    [{ optim: 'ademamix' }, 'OPTION_REFUSED', '--optim ademamix is refused: not supported yet; use adamw_torch or adamw_8bit'],
    [{ optim: 'adamm' }, 'OPTION_INVALID', '--optim: expected adamw_torch, adamw_torch_fused'],
    [{ report_to: ['jsonl', 'mlflow'] }, 'OPTION_REFUSED', 'is refused: not supported; use tensorboard, wandb or jsonl'],
    [{ report_to: 'trackio' }, 'OPTION_REFUSED', 'is documented for its own package alone'],
    [{ fp16: true }, 'OPTION_REFUSED', 'use --bf16 true'],
    [{ dtype: 'float16' }, 'OPTION_REFUSED', '--dtype float16 is refused'],
    [{ label_smoothing_factor: 0.1 }, 'OPTION_REFUSED', 'label smoothing'],
    [{ neftune_noise_alpha: -5 }, 'OPTION_INVALID', 'expected a number of at least 0'],
    [{ max_steps: 0 }, 'OPTION_INVALID', '--max_steps: expected -1 (unset) or a whole number of at least 1, not 0'],
    [{ logging_steps: 2.5 }, 'OPTION_INVALID', 'expected a whole number of steps (below 1: a share of all steps), not 2.5'],
    [{ memory: 'lots' }, 'OPTION_INVALID', 'expected a size such as 8GB'],
    [{ device: 'tpu' }, 'OPTION_INVALID', 'expected auto, cpu, cuda'],
    [{ lora_rank: 3 }, 'OPTION_UNKNOWN', 'unknown option --lora_rank; did you mean --lora_r?'],
  ])('%j', (values, code, message) => {
    const error = catching(() => resolve(sftFields, given(values)))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  it('accepts refused options where they ask for nothing', () => {
    expect(() =>
      resolve(sftFields, given({ use_dora: false, neftune_noise_alpha: null, deepspeed: null, fsdp: '', tf32: false, local_rank: 0 })),
    ).not.toThrow()
  })

  it('names every option that can’t be used, a line each', () => {
    const error = catching(() => resolve(sftFields, given({ use_dora: true, lora_r: 0 })))
    expect(error.message.split('\n').map((line) => line.split(/[ :]/)[0])).toEqual(['--use_dora', '--lora_r'])
  })
})

describe('what an option takes is said in words of its own', () => {
  /** one of each kind of schema in the tables, with a value that it can't hold */
  it.each([
    ['dataset_train_split', 5, 'a text'],
    ['dataset_text_field', 5, 'a text'],
    ['dataset_name', 5, 'a text that is not empty'],
    ['output_dir', ' ', 'a text that is not empty'],
    ['use_peft', 'maybe', 'true or false'],
    ['bf16', 'maybe', 'true, false or none'],
    ['lora_r', 'many', 'a whole number of at least 1'],
    ['lora_r', 0, 'a whole number of at least 1'],
    ['lora_r', 1.5, 'a whole number of at least 1'],
    ['max_length', 'long', 'a whole number of at least 1 or none'],
    ['max_pass_tokens', 'abc', 'a whole number of at least 1 or none'],
    ['lora_alpha', 0, 'a whole number of at least 1'],
    ['learning_rate', -1, 'a number of at least 0'],
    ['learning_rate', Number.NaN, 'a number of at least 0'],
    ['lora_dropout', 1, 'a number of at least 0 and below 1'],
    ['num_train_epochs', 0, 'a number above 0'],
    ['max_steps', 'all', '-1 (unset) or a whole number of at least 1'],
    ['eval_steps', 'often', 'a whole number of steps (below 1: a share of all steps) or none'],
    ['packing_strategy', 'best', 'bfd, bfd_split or wrapped'],
    ['report_to', 7, 'none, all, jsonl, tensorboard, wandb or a list of them (on the command line with spaces between)'],
    ['lora_target_modules', [1], 'a list of texts (on the command line with spaces between) or a text'],
    ['lora_modules_to_save', 'lm_head', 'a list of texts (on the command line with spaces between) or none'],
    ['resume_from_checkpoint', 3, 'true, false or a text that is not empty'],
    ['pad_to_multiple_of', 1.5, 'a whole number or a text'],
    ['trackio_static_space_id', true, 'a text or false'],
    ['activation_checkpointing_kwargs', 1, 'a mapping, or the path of a JSON file with one'],
    ['liger_kernel_config', 'x', 'a mapping of names to values or none'],
    ['memory', 'lots', 'a size such as 8GB (10⁹ bytes each), 512MiB (2²⁰) or a number of bytes'],
    ['device', 'tpu', 'auto, cpu, cuda, cuda:N or reference'],
  ])('%s %j', (name, value, words) => {
    expect(catching(() => resolve(sftFields, given({ [name]: value })))).toMatchObject({
      code: 'OPTION_INVALID',
      message: `--${name}: expected ${words}, not ${typeof value === 'string' ? value : inspect(value)}`,
    })
  })

  it('for every option of the tables', () => {
    for (const [name, field] of Object.entries(sftFields)) {
      expect(expected(field.schema), name).toMatch(/^\S/)
      expect(expected(field.schema, true), name).toMatch(/^\S/)
    }
  })

  it('with the nearest of the words it takes', () => {
    const message = (values: Record<string, unknown>) => catching(() => resolve(sftFields, given(values))).message
    expect(message({ lr_scheduler_type: 'cosin' })).toMatch(
      /^--lr_scheduler_type: expected linear, cosine, .* or greedy, not cosin; did you mean cosine\?$/,
    )
    expect(message({ report_to: ['jsonl', 'josnl'] })).toMatch(/; did you mean jsonl\?$/)
  })

  it('as the source writes options and values', () => {
    const yaml = [{ name: 'lora_r', value: 'lots', said: 'lora_r in run.yaml' }]
    expect(catching(() => resolve(sftFields, yaml)).message).toBe('lora_r in run.yaml: expected a whole number of at least 1, not lots')
    const program = (values: Record<string, unknown>) => catching(() => resolveObject(sftFields, values)).message
    expect(program({ maxLength: '512' })).toBe("maxLength: expected a whole number of at least 1 or null, not '512'")
    expect(program({ maxSteps: 10n })).toBe('maxSteps: expected -1 (unset) or a whole number of at least 1, not 10n')
    expect(program({ useDora: true })).toBe('useDora true is refused: DoRA is not supported yet; use plain LoRA or useRslora')
  })
})

describe('resolveObject', () => {
  it('takes camelCase keys and leaves undefined ones out', () => {
    const config: SFTConfig = { learningRate: 2e-4, maxSteps: 60, outputDir: 'out', gradientCheckpointing: true, seed: undefined }
    const { options, notes } = resolveObject(configFields, { ...config })
    expect(options).toMatchObject({ learningRate: 2e-4, maxSteps: 60, outputDir: 'out', seed: 42 })
    expect(notes).toHaveLength(1)
  })

  it('names the camelCase of a snake_case key', () => {
    const error = catching(() => resolveObject(configFields, { max_steps: 60 }))
    expect(error).toMatchObject({ code: 'OPTION_UNKNOWN', message: 'unknown option max_steps: it is written maxSteps here' })
  })

  it('suggests the nearest key, and refuses by it', () => {
    expect(catching(() => resolveObject(configFields, { learnRate: 1 })).message).toBe(
      'unknown option learnRate; did you mean learningRate?',
    )
    expect(catching(() => resolveObject(configFields, { pushToHub: true, hubStrategy: 'checkpoint' })).message).toContain('uploaded once')
  })
})

describe('adapter', () => {
  it('is what TRL and PEFT make of the options', () => {
    const config = (values: SftInput) => adapterConfig(resolveObject(sftFields, values).options)
    expect(config({})).toBeNull()
    expect(config({ usePeft: true })).toMatchObject({
      r: 16,
      loraAlpha: 32,
      loraDropout: 0.05,
      bias: 'none',
      targetModules: ['q_proj', 'v_proj'],
      revision: null,
    })
    expect(
      config({ usePeft: true, loraTargetModules: 'all-linear', trainBias: 'lora_only', modelRevision: 'v2', useRslora: true }),
    ).toMatchObject({
      targetModules: 'all-linear',
      bias: 'lora_only',
      revision: 'v2',
      useRslora: true,
    })
  })
})
