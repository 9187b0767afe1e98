/** What became of a base's weights that were not stored as they are written. */
import { basename } from 'node:path'
import { quantisedHere } from '../engine/computed-base.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'

/** Worth telling of whatever has base and adapter as one. */
export function baseNotes(language: LanguageModel): string[] {
  const { checkpoint } = language.opened
  const stored = [...checkpoint.tensors.values()]
  if (stored.some(({ quant, parts }) => quant || parts?.some((part) => part.quant)))
    return ['the base’s NF4 weights are dequantised, and what was trained is added to them']
  if (quantisedHere(language).size > 0)
    return ['the weights that were computed with in NF4 are written dequantised, with what was trained over them added']
  if (checkpoint.kind === 'gguf' && stored.some(({ storage }) => !['F32', 'F16', 'BF16'].includes(storage)))
    return [`the base’s weights are ${storagesOf(stored)} of ${basename(checkpoint.path)}, dequantised: they are no finer than those`]
  return []
}

const storagesOf = (stored: readonly CheckpointTensor[]) => [...new Set(stored.map(({ storage }) => storage))].join(', ')
