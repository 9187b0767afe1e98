/** What other models over a base hold on its device while one of them is trained. */
import { sizeOf } from '../ops/tensor.ts'
import type { LanguageModel } from './language-model.ts'

/** bytes of what the other models over its base train, with room for their gradients, and of weights that only they read */
export function bytesBeside(model: LanguageModel): number {
  const seen = new Set(model.recorder.weights.keys())
  let bytes = 0
  for (const other of model.opened.users) {
    if (other === model) continue
    bytes += (other.trained?.layout.size ?? 0) * 8
    for (const spec of other.recorder.weights.values()) {
      if (!seen.has(spec.name)) bytes += sizeOf(spec)
      seen.add(spec.name)
    }
  }
  return bytes
}
