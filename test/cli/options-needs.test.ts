import { describe, expect, it } from 'vitest'
import { camel, needing } from '../../src/train/options/field.ts'
import { resolve, resolveObject } from '../../src/train/options/resolve.ts'
import { configFields, sftFields, trainerArgs } from '../../src/train/options/sft.ts'
import { catching, given } from './given.ts'

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
