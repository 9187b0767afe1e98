/**
 * Which rows are computed as long ones (LongRoPE, `Model.longBeyond`): transformers chooses for a micro-batch as a whole, by its longest row.
 * It is a property of the micro-batch, so passes may cut and mix rows as they like.
 */
import type { Example } from './example.ts'

/** of each example of `batches`, in their order; `beyond` absent: the model makes no difference */
export function longExamples(batches: readonly (readonly Example[])[], beyond: number | undefined): boolean[] | undefined {
  if (beyond === undefined) return undefined
  return batches.flatMap((batch) => {
    const long = longestSequence(batch) > beyond
    return batch.map(() => long)
  })
}

/** tokens of the longest sequence: packed examples are several */
export function longestSequence(examples: readonly Example[]): number {
  let longest = 0
  for (const { ids, starts } of examples) {
    const bounds = [...(starts ?? [0]), ids.length]
    for (let i = 1; i < bounds.length; i++) longest = Math.max(longest, bounds[i]! - bounds[i - 1]!)
  }
  return longest
}
