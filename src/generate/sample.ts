/** The next token out of logits: the most likely one, or drawn at a temperature from the likeliest (top-k, then top-p, as transformers). */
import type { SeededRandom } from '../engine/random.ts'

export interface SampleOptions {
  /** 0: greedy */
  temperature?: number
  /** draw from this many likeliest tokens; 0: all */
  topK?: number
  /** draw from the likeliest tokens that hold this probability together */
  topP?: number
}

export function sample(logits: Float32Array, random: SeededRandom, { temperature = 0, topK = 0, topP = 1 }: SampleOptions): number {
  if (temperature === 0) return argmax(logits)
  let ids = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b)
  if (topK > 0) ids = ids.slice(0, topK)
  const top = logits[ids[0]!]!
  const weights = ids.map((id) => Math.exp((logits[id]! - top) / temperature))
  const total = weights.reduce((a, b) => a + b, 0)
  // the token that passes topP is still drawn from
  let kept = 0
  for (let held = 0; kept < weights.length && held < topP * total; kept++) held += weights[kept]!
  let left = random.uniform() * weights.slice(0, kept).reduce((a, b) => a + b, 0)
  for (let i = 0; i < kept; i++) if ((left -= weights[i]!) < 0) return ids[i]!
  return ids[kept - 1]!
}

/** the first of the largest */
function argmax(x: Float32Array): number {
  let best = 0
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i
  return best
}
