import { describe, expect, it } from 'vitest'
import { inUnit } from '../../src/engine/budget.ts'
import { SaqrError } from '../../src/error.ts'
import { precisionOf } from '../../src/train/options/precision-in.ts'
import { resolve } from '../../src/train/options/resolve.ts'
import { checkSft, evalSteps, memoryLimit, stepsOf, targetModules } from '../../src/train/options/rules.ts'
import { sizeInBytes } from '../../src/train/options/schemas.ts'
import { sftFields } from '../../src/train/options/sft.ts'
import { spelling } from '../../src/train/options/spelling.ts'
import { catching, given } from './given.ts'

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
