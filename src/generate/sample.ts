/** The next token out of logits: penalties for what came before, then the likeliest token, or one drawn as transformers draws. */
import { SeededRandom } from '../engine/random.ts'
import { SaqrError } from '../error.ts'
import type { Next } from './decoder.ts'
import { type Shaping, shaped } from './shape.ts'

export interface SampleOptions extends Shaping {
  /** of the draws, which a prompt's place in a list keys too; default 0 */
  seed?: number
  /** each token with the logarithm of the probability that the model gave it, before penalties, temperature and cuts */
  logprobs?: boolean
  /** and so many of the likeliest tokens in its place; asks for `logprobs` */
  topLogprobs?: number
}

/** A token and how likely the model held it. */
export interface TokenLogprob {
  /** the token’s id */
  id: number
  /** natural logarithm of its probability, before penalties, temperature and cuts */
  logprob: number
}

/** A token and, where it was asked for, how likely the model held it and others. */
export interface Choice extends TokenLogprob {
  /** the likeliest first; of equal ones the lower id */
  top: readonly TokenLogprob[]
}

/** Chooses the tokens of one text, in order. */
export class Sampler {
  readonly #options: SampleOptions
  readonly #random: SeededRandom
  readonly #prompt: ReadonlySet<number>
  /** how often each token came after the prompt */
  readonly #counts = new Map<number, number>()

  /** @param index of the prompt among those asked together: equal ones are drawn for apart */
  constructor(prompt: readonly number[], options: SampleOptions, index = 0) {
    this.#options = options
    this.#random = new SeededRandom(options.seed ?? 0, index === 0 ? 'generate' : `generate ${index}`)
    this.#prompt = new Set(options.repetitionPenalty === undefined ? [] : prompt)
  }

  /** is the likeliest token all that it asks for? */
  get plain(): boolean {
    const { temperature = 0, logprobs = false, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = this.#options
    return temperature === 0 && !logprobs && repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0
  }

  /** What follows a text, whose logits a plain sampler doesn't look at. @throws SaqrError MODEL_NOT_FINITE */
  after({ likeliest, logits }: Next): Choice {
    if (likeliest < 0) throw notFinite()
    return this.plain ? { id: likeliest, logprob: Number.NaN, top: [] } : this.next(logits)
  }

  /** @param logits (V), which are left as they are. @throws SaqrError MODEL_NOT_FINITE */
  next(logits: Float32Array): Choice {
    const { temperature = 0, logprobs = false, topLogprobs = 0 } = this.#options
    if (!canBeDrawn(logits)) throw notFinite()
    const penalised = penalise(logits, this.#prompt, this.#counts, this.#options)
    const id = temperature === 0 ? argmax(penalised) : draw(penalised, this.#random, this.#options)
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1)
    return logprobs ? rated(logits, id, topLogprobs) : { id, logprob: Number.NaN, top: [] }
  }
}

const notFinite = () =>
  new SaqrError(
    'MODEL_NOT_FINITE',
    'the model’s logits are no numbers, or without an end: its weights are damaged, or its training diverged',
  )

/**
 * Of tokens that were there before. Repetition (Keskar 2019, as transformers): prompt and answer, logits above 0 are divided, others
 * multiplied; then frequency and presence (OpenAI's): of the answer alone, so much is taken off for each time, and once.
 */
export function penalise(
  logits: Float32Array,
  prompt: Iterable<number>,
  counts: ReadonlyMap<number, number>,
  { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 }: Shaping,
): Float32Array {
  if (repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0) return logits
  const y = logits.slice()
  if (repetitionPenalty !== 1)
    for (const id of new Set([...prompt, ...counts.keys()])) y[id] = y[id]! < 0 ? y[id]! * repetitionPenalty : y[id]! / repetitionPenalty
  for (const [id, count] of counts) y[id]! -= frequencyPenalty * count + presencePenalty
  return y
}

function draw(logits: Float32Array, random: SeededRandom, shaping: Shaping): number {
  const { ids, weights } = shaped(logits, shaping)
  let left = random.uniform() * weights.reduce((a, b) => a + b, 0)
  for (let i = 0; i < ids.length; i++) if ((left -= weights[i]!) < 0) return ids[i]!
  return ids.at(-1)!
}

/**
 * A token whose logit is −∞ never comes; of NaN and ∞, or of −∞ alone, there are no probabilities. In a plain loop: it runs over the vocabulary
 * for every token.
 */
function canBeDrawn(x: Float32Array): boolean {
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < x.length; i++) {
    if (!(x[i]! < Number.POSITIVE_INFINITY)) return false
    if (x[i]! > most) most = x[i]!
  }
  return most > Number.NEGATIVE_INFINITY
}

/** the first of the largest */
export function argmax(x: Float32Array): number {
  let best = 0
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i
  return best
}

function rated(logits: Float32Array, id: number, count: number): Choice {
  const most = logits[argmax(logits)]!
  let sum = 0
  for (const x of logits) sum += Math.exp(x - most)
  const total = most + Math.log(sum)
  const top: TokenLogprob[] = []
  for (let i = 0; count > 0 && i < logits.length; i++) {
    const logprob = logits[i]! - total
    if (top.length === count && !(logprob > top.at(-1)!.logprob)) continue
    let at = top.length
    while (at > 0 && top[at - 1]!.logprob < logprob) at--
    top.splice(at, 0, { id: i, logprob })
    if (top.length > count) top.pop()
  }
  return { id, logprob: logits[id]! - total, top }
}
