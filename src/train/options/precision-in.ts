/** What options say of numbers that a model is held and computed in: apart from the rules of training, which bring rows and schedules with them. */
import { option, SaqrError, say } from '../../error.ts'
import type { VerbOptions } from './common.ts'

export const FROZEN_4BIT = say`the weights of a 4-bit base can’t be trained; add ${option('getPeftModel')}, or leave ${option('loadIn4bit')} out`

/** What activations and frozen weights are computed in; `checkpoint`: as the model's files say. */
export function precisionOf(o: { bf16: boolean | null; dtype: VerbOptions['dtype'] }): 'bf16' | 'f32' | 'checkpoint' {
  if (o.bf16 !== false || o.dtype === 'bfloat16') return 'bf16'
  return o.dtype === 'float32' ? 'f32' : 'checkpoint'
}

/** The same for a model whose config.json is known; without one, `--dtype auto` is bf16. */
export function precisionIn(o: Parameters<typeof precisionOf>[0], config: Readonly<Record<string, unknown>>): 'bf16' | 'f32' {
  const precision = precisionOf(o)
  if (precision !== 'checkpoint') return precision
  return (config.dtype ?? config.torch_dtype ?? 'bfloat16') === 'float32' ? 'f32' : 'bf16'
}

/**
 * What a model that is asked, not trained, is opened and computed in: what dtype says, as in transformers; where it says nothing bf16, or f32 with bf16 false.
 * @throws SaqrError OPTION_INVALID where bf16 is asked for beside another dtype
 */
export function askedPrecision(o: Parameters<typeof precisionOf>[0], config: Readonly<Record<string, unknown>>): 'bf16' | 'f32' {
  if (o.bf16 && o.dtype !== null && o.dtype !== 'bfloat16')
    throw new SaqrError('OPTION_INVALID', say`${option('bf16')} true contradicts ${option('dtype')} ${o.dtype}; leave one of them out`)
  if (o.dtype === null) return o.bf16 === false ? 'f32' : 'bf16'
  return precisionIn({ dtype: o.dtype, bf16: false }, config)
}
