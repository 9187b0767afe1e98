/**
 * The distribution that tokens are drawn from, as transformers' warpers make it, in its order: temperature, top-k (Fan 2018; tokens as
 * likely as the k-th stay), top-p (Holtzman 2020; the token that passes it stays), min-p (Nguyen 2024).
 */

export interface Shaping {
  /** 0: greedy */
  temperature?: number
  /** draw from this many likeliest tokens; 0: all */
  topK?: number
  /** draw from the likeliest tokens that hold this probability together; 0: the likeliest alone */
  topP?: number
  /** leave out tokens less likely than this share of the likeliest one's probability; 0: none */
  minP?: number
  /** above 1: tokens of prompt and answer become less likely (logits above 0 are divided by it, others multiplied); 1: they don't */
  repetitionPenalty?: number
  /** taken off a token's logit if the answer holds it (OpenAI) */
  presencePenalty?: number
  /** taken off a token's logit for each time that the answer holds it (OpenAI) */
  frequencyPenalty?: number
}

export interface Shaped {
  /** tokens that can be drawn */
  ids: ArrayLike<number> & { at(i: number): number | undefined }
  /** as they are likely, not yet divided by their sum */
  weights: Float64Array
}

/** @param logits (V), after penalties; temperature is above 0 */
export function shaped(logits: Float32Array, { temperature = 1, topK = 0, topP = 1, minP = 0 }: Shaping): Shaped {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const least = topK > 0 && topK < logits.length ? kthLargest(logits, topK) : Number.NEGATIVE_INFINITY
  let ids = where(logits, least)
  if (topP < 1) ids = nucleus(logits, ids, topP, (id) => Math.exp((logits[id]! - most) / temperature))
  if (minP > 0) ids = ids.filter((id) => Math.exp((logits[id]! - most) / temperature) >= minP)
  return { ids, weights: Float64Array.from(ids, (id) => Math.exp((logits[id]! - most) / temperature)) }
}

/** ids of logits of at least `least`, in order */
function where(logits: Float32Array, least: number): Int32Array {
  let count = 0
  for (const x of logits) if (x >= least) count++
  const ids = new Int32Array(count)
  for (let i = 0, n = 0; i < logits.length; i++) if (logits[i]! >= least) ids[n++] = i
  return ids
}

/** by a heap of the k largest so far, the smallest of them first */
function kthLargest(x: Float32Array, k: number): number {
  const heap = x.slice(0, k).sort()
  for (let i = k; i < x.length; i++) {
    if (!(x[i]! > heap[0]!)) continue
    let at = 0
    for (let child = 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && heap[child + 1]! < heap[child]!) child++
      if (x[i]! <= heap[child]!) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = x[i]!
  }
  return heap[0]!
}

/**
 * The likeliest ids that hold `share` of the weights together, one at least; most of them lie far above the rest, which is then never sorted.
 * Of equal ones at its edge the lowest stay; which do in transformers is left to torch's sort, which keeps no order among more than 16.
 */
function nucleus(logits: Float32Array, ids: Int32Array, share: number, weight: (id: number) => number): Int32Array {
  let total = 0
  for (const id of ids) total += weight(id)
  for (let floor = 1e-3; ; floor = floor > 1e-12 ? floor * 1e-3 : -1) {
    const high = ids.filter((id) => weight(id) > floor).sort((a, b) => logits[b]! - logits[a]! || a - b)
    let held = 0
    let kept = 0
    for (; kept < high.length && (kept === 0 || held < share * total); kept++) held += weight(high[kept]!)
    if (held >= share * total || high.length === ids.length) return high.subarray(0, kept).sort()
  }
}
