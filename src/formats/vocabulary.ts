/** What a tokenizer.json's vocabulary and merges come to in numbers: hundreds of thousands each, so they are gone through once, whoever asks. */

export interface Vocabulary {
  ids: ReadonlyMap<string, number>
  /** by id; of an id that several tokens have, the last */
  spelled: readonly (string | undefined)[]
  /** one more than the highest id */
  limit: number
}

const vocabularies = new WeakMap<object, Vocabulary>()

/** @param vocab as it stands in tokenizer.json; it doesn't change any more */
export function vocabularyOf(vocab: Readonly<Record<string, number>>): Vocabulary {
  const known = vocabularies.get(vocab)
  if (known) return known
  const ids = new Map<string, number>()
  const spelled: string[] = []
  let limit = 0
  for (const token in vocab) {
    const id = vocab[token]!
    ids.set(token, id)
    spelled[id] = token
    if (id >= limit) limit = id + 1
  }
  const made = { ids, spelled, limit }
  vocabularies.set(vocab, made)
  return made
}

export type Merge = string | readonly [string, string]

export const partsOf = (merge: Merge): readonly string[] => (typeof merge === 'string' ? merge.split(' ', 2) : merge)

export interface MergeIds {
  /** of the left part, the right one and the token they make, merge by merge */
  ids: Int32Array
  /** the first merge that has a part, or makes something, that is no token; −1: none */
  wrong: number
}

const merged = new WeakMap<readonly Merge[], { of: Vocabulary['ids']; made: MergeIds }>()

/** @param merges as they stand in tokenizer.json; they don't change any more */
export function mergeIdsOf(merges: readonly Merge[], of: Vocabulary['ids']): MergeIds {
  const known = merged.get(merges)
  if (known?.of === of) return known.made
  const ids = new Int32Array(3 * merges.length)
  const made = { ids, wrong: -1 }
  for (let i = 0; i < merges.length; i++) {
    const parts = partsOf(merges[i]!)
    const left = parts[0] ?? ''
    const right = parts[1] ?? ''
    const a = of.get(left)
    const b = of.get(right)
    const both = of.get(left + right)
    if (a === undefined || b === undefined || both === undefined) {
      made.wrong = i
      break
    }
    ids[3 * i] = a
    ids[3 * i + 1] = b
    ids[3 * i + 2] = both
  }
  merged.set(merges, { of, made })
  return made
}
