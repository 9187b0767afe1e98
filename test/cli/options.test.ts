import { inspect } from 'node:util'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { inUnit } from '../../src/engine/budget.ts'
import { SaqrError } from '../../src/error.ts'
import { distance, nearest } from '../../src/hub/nearest.ts'
import { adapterConfig } from '../../src/train/options/adapter.ts'
import { expected } from '../../src/train/options/expected.ts'
import { camel, type InputOf, needing } from '../../src/train/options/field.ts'
import { precisionOf } from '../../src/train/options/precision-in.ts'
import { resolve, resolveObject } from '../../src/train/options/resolve.ts'
import { checkSft, evalSteps, memoryLimit, stepsOf, targetModules } from '../../src/train/options/rules.ts'
import { sizeInBytes } from '../../src/train/options/schemas.ts'
import { configFields, type SFTConfig, type SftOptions, sftFields, type TrainingOptions, trainerArgs } from '../../src/train/options/sft.ts'
import { spelling } from '../../src/train/options/spelling.ts'

type SftInput = InputOf<typeof sftFields>
const given = (values: Record<string, unknown>) => Object.entries(values).map(([name, value]) => ({ name, value, said: `--${name}` }))

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
    ['report_to', 7, 'none, all, jsonl, tensorboard, wandb or a list of them'],
    ['lora_target_modules', [1], 'a list of texts or a text'],
    ['lora_modules_to_save', 'lm_head', 'a list of texts or none'],
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

describe('an option that needs others', () => {
  const here = import.meta.dirname
  const unset = Object.fromEntries(needing(sftFields).map(({ name, initial }) => [name, initial]))

  /** option, a value, what it needs, the message without that: one for every option of the tables that needs something */
  it.each<[string, unknown, Record<string, unknown>, string]>([
    [
      'lora_r',
      8,
      { use_peft: true },
      'without --use_peft: all weights would be trained. Add --use_peft, or leave out what is an adapter’s',
    ],
    ['lora_alpha', 16, { use_peft: true }, 'without --use_peft: all weights'],
    ['lora_dropout', 0.1, { use_peft: true }, 'without --use_peft: all weights'],
    ['lora_target_modules', 'all-linear', { use_peft: true }, 'without --use_peft: all weights'],
    ['lora_modules_to_save', ['lm_head'], { use_peft: true }, 'without --use_peft: all weights'],
    ['lora_target_parameters', ['gate_up_proj'], { use_peft: true }, 'without --use_peft: all weights'],
    ['use_rslora', true, { use_peft: true }, 'without --use_peft: all weights'],
    ['train_bias', 'all', { use_peft: true }, 'without --use_peft: all weights'],
    ['unfuse_experts', true, { use_peft: true }, 'without --use_peft: all weights'],
    ['lora_r', 8, { model_name_or_path: 'owner/may-be-an-adapter' }, 'without --use_peft'],
    ['model_revision', 'v2', { model_name_or_path: 'owner/name' }, 'on a path: the files are taken as they lie there'],
    ['use_bnb_nested_quant', true, { load_in_4bit: true, use_peft: true }, 'without --load_in_4bit'],
    ['dtype', 'auto', { bf16: false }, 'without --bf16 false'],
    ['packing_strategy', 'wrapped', { packing: true }, 'without --packing'],
    ['packing_strategy', 'wrapped', { eval_packing: true, eval_strategy: 'epoch' }, 'without --packing'],
    ['eval_packing', false, { eval_strategy: 'epoch' }, 'without --eval_strategy steps or epoch'],
    ['truncation_mode', 'keep_end', { max_length: 64 }, 'without --max_length, or on rows that are packed (--packing)'],
    ['num_train_epochs', 2, { max_steps: -1 }, 'beside --max_steps'],
    ['data_seed', 7, { train_sampling_strategy: 'random' }, 'without --train_sampling_strategy random'],
    ['warmup_steps', 3, { lr_scheduler_type: 'linear' }, 'with this --lr_scheduler_type, which does not warm up'],
    ['eval_steps', 2, { eval_strategy: 'steps' }, 'without --eval_strategy steps'],
    ['per_device_eval_batch_size', 2, { eval_on_start: true }, 'without --eval_strategy steps or epoch'],
    ['eval_prompts', 'asked.txt', { eval_on_start: true }, 'without --eval_strategy steps or epoch'],
    ['eval_delay', 2, { eval_strategy: 'epoch' }, 'without --eval_strategy steps or epoch'],
    ['eval_dataset_name', 'rows.jsonl', { eval_strategy: 'epoch' }, 'without --eval_strategy steps or epoch'],
    ['dataset_test_split', 'valid', { eval_strategy: 'epoch' }, 'without --eval_strategy steps or epoch'],
    [
      'metric_for_best_model',
      'loss',
      { eval_strategy: 'epoch', lr_scheduler_type: 'greedy' },
      'without --load_best_model_at_end, --save_strategy best, --early_stopping_patience or a --lr_scheduler_type that follows',
    ],
    [
      'greater_is_better',
      true,
      { eval_strategy: 'epoch', early_stopping_patience: 2 },
      'without --load_best_model_at_end, --save_strategy best or',
    ],
    ['early_stopping_threshold', 0.1, { eval_strategy: 'epoch', early_stopping_patience: 2 }, 'without --early_stopping_patience'],
    ['loraplus_lr_embedding', 1e-4, { loraplus_lr_ratio: 4 }, 'without --loraplus_lr_ratio'],
    ['adam_beta1', 0.5, { optim: 'lion_32bit' }, 'with --optim sgd'],
    ['adam_beta2', 0.95, { optim: 'adamw_8bit' }, 'with --optim sgd'],
    ['adam_epsilon', 1e-6, { optim: 'adamw_torch' }, 'with --optim lion_32bit, sgd, rmsprop, adagrad or adafactor'],
    ['logging_dir', 'runs', { report_to: 'tensorboard' }, 'without --report_to tensorboard'],
    ['logging_steps', 2, { logging_strategy: 'steps' }, 'without --logging_strategy steps'],
    ['logging_steps', 2, { eval_strategy: 'steps' }, 'without --logging_strategy steps'],
    ['save_steps', 2, { save_strategy: 'steps' }, 'without --save_strategy steps'],
    ['hub_token', 'hf_x', { push_to_hub: true }, 'without --push_to_hub'],
    ['hub_private_repo', true, { push_to_hub: true }, 'without --push_to_hub'],
    ['hub_model_id', 'a/b', { push_to_hub: true }, 'without --push_to_hub'],
    ['hub_strategy', 'end', { push_to_hub: true }, 'without --push_to_hub'],
    ['hub_revision', 'v2', { push_to_hub: true }, 'without --push_to_hub'],
    ['dataset_name', 'rows.jsonl', { datasets: [] }, 'beside --datasets'],
    ['dataset_config', 'en', { datasets: [] }, 'beside --datasets'],
    ['dataset_train_split', 'train[:9]', { datasets: [] }, 'beside --datasets'],
    ['dataset_streaming', true, { datasets: [] }, 'beside --datasets'],
    ['streaming', true, { datasets: [{ path: 'rows.jsonl' }] }, 'without --datasets'],
    ['test_split_size', 0.1, { datasets: [{ path: here }] }, 'without --datasets'],
  ])('%s %j', (name, value, met, message) => {
    covered.add(camel(name))
    const others: Record<string, unknown> = {
      ...{ model_name_or_path: here, max_steps: 4, lr_scheduler_type: 'constant', logging_strategy: 'no', save_strategy: 'no' },
      ...{
        optim: 'sgd',
        train_sampling_strategy: 'sequential',
        max_length: null,
        datasets: ['test_split_size', 'streaming'].includes(name) ? [] : [{ path: here }],
      },
    }
    const told = (values: Record<string, unknown>) => {
      try {
        return resolve(sftFields, given(values)).notes.join('\n')
      } catch (error) {
        return (error as Error).message
      }
    }
    expect(told({ ...others, [name]: value })).toContain(`--${name} has no effect ${message}`)
    expect(told({ ...others, ...met, [name]: value })).not.toContain(`--${name} `)
    expect(told({ ...others, [name]: unset[camel(name)] })).toBe('')
  })

  const covered = new Set<string>()
  it('stands in that table', () => {
    expect(
      needing(sftFields)
        .map(({ name }) => name)
        .filter((name) => !covered.has(name)),
    ).toEqual([])
  })

  it('is told with those that need the same, as its source writes it, and once', () => {
    const { notes } = resolveObject(configFields, { evalDelay: 2, evalSteps: 3, evalPacking: true, perDeviceEvalBatchSize: 2 })
    expect(notes).toEqual([
      'evalPacking and perDeviceEvalBatchSize have no effect without evalStrategy steps or epoch',
      'evalSteps has no effect without evalStrategy steps',
      'evalDelay has no effect without evalStrategy steps or epoch',
    ])
    const yaml = [{ name: 'lora_r', value: 8, said: 'lora_r in run.yaml' }, ...given({ lora_alpha: 8 })]
    expect(catching(() => resolve(sftFields, yaml)).message).toMatch(
      /^lora_r in run\.yaml and --lora_alpha have no effect without --use_peft: all weights would be trained\./,
    )
    const args = trainerArgs(resolve(sftFields, given({ eval_steps: 2, warmup_steps: 3, lr_scheduler_type: 'constant' })).options)
    expect(resolveObject(configFields, { ...args }).notes).toEqual([])
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

describe('rules', () => {
  const options = (values: Record<string, unknown>) =>
    resolve(sftFields, given({ model_name_or_path: 'm', dataset_name: 'd', ...values })).options

  it('pass for what can be carried out', () => {
    expect(() => checkSft(options({}))).not.toThrow()
    expect(() => checkSft(options({ logging_strategy: 'no', logging_steps: 0 }))).not.toThrow()
  })

  it.each([
    [{ model_name_or_path: null }, '--model_name_or_path'],
    [{ dataset_name: null }, '--dataset_name'],
    [{ packing: true, max_length: null }, '--packing needs --max_length'],
    [{ eval_packing: true, max_length: null }, '--eval_packing needs --max_length'],
    [{ logging_steps: 0 }, '--logging_steps is 0; use --logging_strategy no'],
    [{ save_steps: 0 }, '--save_steps is 0; use --save_strategy no'],
    [{ use_cpu: true, device: 'cuda' }, '--use_cpu contradicts'],
    [
      { lora_target_modules: 'q_proj,v_proj' },
      '--lora_target_modules q_proj,v_proj is one name with commas in it, which no module has: give a list, q_proj v_proj',
    ],
  ])('%j', (values, message) => {
    expect(asFlags(catching(() => checkSft(options(values)))).message).toContain(message)
  })

  it('give intervals, precision and modules their meaning', () => {
    expect(stepsOf(0.1, 25)).toBe(3)
    expect(stepsOf(10, 25)).toBe(10)
    expect(evalSteps({ evalSteps: null, loggingSteps: 10 })).toBe(10)
    expect(precisionOf({ bf16: null, dtype: 'float32' })).toBe('bf16')
    expect(precisionOf({ bf16: false, dtype: 'float32' })).toBe('f32')
    expect(precisionOf({ bf16: false, dtype: 'auto' })).toBe('checkpoint')
    expect(targetModules('q_proj')).toEqual(['q_proj'])
    expect(targetModules('all-linear')).toBe('all-linear')
    expect(targetModules('.*\\.(q|k)_proj')).toBe('.*\\.(q|k)_proj')
  })

  it('read sizes', () => {
    expect(sizeInBytes('8GB')).toBe(8e9)
    expect(sizeInBytes('512MiB')).toBe(512 * 2 ** 20)
    expect(sizeInBytes('1.5 gib')).toBe(1.5 * 2 ** 30)
    expect(sizeInBytes('1000')).toBe(1000)
    expect(sizeInBytes(4096)).toBe(4096)
    for (const bad of ['8 apples', '', '-1GB', '0', 'GB']) expect(sizeInBytes(bad)).toBeUndefined()
  })
})

function asFlags(error: { code: string; message: string }): { message: string } {
  if (error instanceof SaqrError) error.respell(spelling(sftFields))
  return error
}

function catching(f: () => unknown): { code: string; message: string } {
  try {
    f()
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('nothing was thrown')
}

describe('memory', () => {
  it.each([
    ['8', '8 of what? Write 8GB, 8GiB or 8MB'],
    [8, '8 of what?'],
    ['1.5', '1.5 of what?'],
    ['lots', 'memory lots: expected a size such as 8GB'],
    [Number.NaN, 'expected a size'],
  ])('%s is asked about', (memory, message) => {
    expect(() => memoryLimit(memory)).toThrow(message)
  })

  it.each([
    ['8GB', { bytes: 8e9, unit: 'GB' }],
    ['512 mib', { bytes: 2 ** 29, unit: 'MiB' }],
    ['8g', { bytes: 8e9, unit: 'GB' }],
    [2 ** 30, { bytes: 2 ** 30, unit: 'MiB' }],
    ['1MB', { bytes: 1e6, unit: 'MB' }],
  ])('%s has its unit', (memory, limit) => {
    expect(memoryLimit(memory)).toEqual(limit)
  })

  it('is told in the unit it was given in, rounded so that it is enough', () => {
    const needed = 1571 * 2 ** 20
    expect(['MiB', 'GiB', 'MB', 'GB'].map((unit) => inUnit(needed, unit))).toEqual(['1571MiB', '1.54GiB', '1648MB', '1.65GB'])
  })
})
