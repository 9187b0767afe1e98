/**
 * Saved is trained: what was written (a GGUF file, a folder) is opened again as any model is, and asked what comes next in the rows that the trained
 * model and, where there is an adapter, the model without it were asked. What is too far from the trained model, or no nearer to it than to its base, is not what was trained.
 */
import { openDevice } from '../devices/open.ts'
import { LanguageModel } from '../engine/language-model.ts'
import { OpenedModel } from '../engine/opened-model.ts'
import { option, SaqrError, say } from '../error.ts'
import { isQuantised, type Quantization } from '../formats/gguf/mixture.ts'
import { Decoder, PAGE } from '../generate/decoder.ts'
import { openCheckpoint } from '../models/checkpoint.ts'
import type { Model } from '../models/family.ts'
import { Tokenizer } from '../text/tokenizer.ts'

export interface Compared {
  /** next tokens that both were asked for */
  positions: number
  /** mean of KL(trained ‖ saved), nats */
  kl: number
  /** largest difference of a probability */
  most: number
  /** share of positions whose likeliest token is the same */
  same: number
}

/** What was found of something saved. */
export interface Found extends Compared {
  /** nats that were allowed */
  bound: number
  /** null: there is no base beside the trained model */
  base: FromBase | null
}

/** what is asked where a program has no rows: several scripts, numbers, code */
export const TEXTS = [
  'The falcon is the fastest bird in the world. When it dives, it reaches more than 300 kilometres an hour, and its eyes see a mouse from',
  'Q: What is 17 + 26?\nA: 43\n\nQ: What is the capital of France?\nA:',
  'def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) +',
  'الصقر طائر سريع، يعيش في الصحراء و',
]

/** rows that are asked, tokens of each, and how often within it */
const ROWS = 8
const LONGEST = PAGE
const ASKED = 4

/**
 * Beginnings of rows, cut where the model is asked.
 * @param rows token ids; those of which nothing follows are left out
 */
export function askedRows(rows: readonly (readonly number[])[], positions: number): number[][][] {
  return rows.slice(0, ROWS).flatMap((row) => {
    const ids = row.slice(0, Math.min(LONGEST, positions - 1))
    const ends = [...new Set(Array.from({ length: ASKED }, (_, i) => Math.ceil(((i + 1) * ids.length) / ASKED)))].filter((end) => end > 0)
    return ends.length > 0 ? [ends.map((end, i) => ids.slice(ends[i - 1] ?? 0, end))] : []
  })
}

/**
 * The rows given, else those of a few texts; ids that the embedding has no row for (of a tokenizer made for more) are left out, as both are asked alike.
 * @throws SaqrError OPTION_INVALID where they hold no token
 */
export function askable(
  tokenizer: Tokenizer,
  given: readonly (readonly number[])[] | undefined,
  { maxPositions, vocab }: Pick<Model, 'maxPositions' | 'vocab'>,
): number[][][] {
  const known = (given ?? TEXTS.map((row) => tokenizer.encode(row))).map((row) => row.filter((id) => id < vocab))
  const rows = askedRows(known, maxPositions)
  if (rows.length > 0) return rows
  throw new SaqrError('OPTION_INVALID', say`there is no token to ask the model and the file: give ${option('checkTexts')} that hold some`)
}

/** log-probabilities (V) of what follows each part */
export async function answersOf(model: LanguageModel, rows: readonly number[][][], signal?: AbortSignal): Promise<Float64Array[]> {
  const answers: Float64Array[] = []
  const decoder = new Decoder(model)
  const { longBeyond = Number.POSITIVE_INFINITY } = model.opened.model
  try {
    decoder.grow(1) // a row is no longer than a page, and the next takes its place
    for (const parts of rows) {
      const long = parts.flat().length > longBeyond
      let position = 0
      for (const part of parts) {
        const tokens = part.map((id) => ({ id, position: position++, pages: [0], long }))
        const [next] = await decoder.readParts([tokens], true, signal)
        answers.push(logSoftmax(next!.logits))
      }
    }
  } finally {
    decoder.dispose()
  }
  return answers
}

function logSoftmax(logits: Float32Array): Float64Array {
  let most = -Infinity
  for (const x of logits) if (!(x <= most)) most = x
  let sum = 0
  for (const x of logits) sum += Math.exp(x - most)
  const log = most + Math.log(sum)
  return Float64Array.from(logits, (x) => x - log)
}

export function compare(trained: readonly Float64Array[], saved: readonly Float64Array[]): Compared {
  let [kl, most, same] = [0, 0, 0]
  for (const [i, p] of trained.entries()) {
    const q = saved[i]!
    let [bestP, bestQ] = [0, 0]
    for (let t = 0; t < p.length; t++) {
      const pt = Math.exp(p[t]!)
      if (pt !== 0) kl += pt * (p[t]! - q[t]!) // of one that is no number neither is the sum
      const apart = Math.abs(pt - Math.exp(q[t]!))
      if (!(apart <= most)) most = apart
      if (p[t]! > p[bestP]!) bestP = t
      if (q[t]! > q[bestQ]!) bestQ = t
    }
    same += Number(bestP === bestQ)
  }
  const positions = trained.length
  return { positions, kl: kl / positions, most, same: same / positions }
}

/** Where a file lies on the way from the base to the trained model. */
export interface FromBase {
  /** mean of KL(trained ‖ base), nats */
  kl: number
  /** 0: the file answers as the base, 1: as the trained model */
  share: number
  /** standard error of the share, over positions; no number where the two answer the same */
  error: number
}

/**
 * The file's expectation of log p(trained) − log p(base) is KL(trained ‖ base) where the file is the trained model and −KL(base ‖ trained) where
 * it is the base: what rounded weights do to it has no direction, and averages out over positions.
 */
export function fromBase(trained: readonly Float64Array[], base: readonly Float64Array[], saved: readonly Float64Array[]): FromBase {
  let [kl, ways, gone] = [0, 0, 0]
  const positions = trained.map((p, i) => {
    const b = base[i]!
    let [toBase, toTrained, ofSaved] = [0, 0, 0]
    for (let t = 0; t < p.length; t++) {
      const apart = p[t]! - b[t]!
      toBase += Math.exp(p[t]!) * apart
      toTrained -= Math.exp(b[t]!) * apart
      ofSaved += Math.exp(saved[i]![t]!) * apart
    }
    const [way, from] = [toBase + toTrained, ofSaved + toTrained]
    kl += toBase / trained.length
    ways += way
    gone += from
    return { way, from }
  })
  const share = gone / ways
  const squares = positions.reduce((sum, { way, from }) => sum + (from - share * way) ** 2, 0)
  return { kl, share, error: Math.sqrt((squares * positions.length) / (positions.length - 1)) / ways }
}

/** What a file or a folder answers, on the CPU, in the type that the trained model computes in. @throws SaqrError EXPORT_TOKENIZER */
export async function answersOfFile(
  path: string,
  trained: LanguageModel,
  tokenizer: Tokenizer,
  rows: readonly number[][][],
  { threads, signal }: { threads?: number | null; signal?: AbortSignal },
): Promise<Float64Array[]> {
  const checkpoint = openCheckpoint(path)
  checkTokenizer(path, tokenizer, new Tokenizer(checkpoint.tokenizer!, { modelType: String(checkpoint.config.model_type) }))
  const device = await openDevice('cpu', { threads })
  try {
    const { dtype } = trained.opened.choice
    const opened = new OpenedModel(device, checkpoint, { dtype, loadIn4bit: false, doubleQuant: false })
    return await answersOf(new LanguageModel(opened, { kind: 'none' }, 0), rows, signal)
  } finally {
    device.dispose()
  }
}

const WORDS = [
  ...TEXTS,
  '  two  spaces\n\n\tand a tab',
  '1234567890 3.14',
  "I'll can't WE'RE",
  '你好，世界 🦅 naïve',
  '<s>[INST] hi [/INST]</s>',
  '',
]

function checkTokenizer(path: string, given: Tokenizer, read: Tokenizer): void {
  for (const word of [...WORDS, ...given.addedTokens.slice(0, 64).map(({ content }) => `a${content} b`)]) {
    const [a, b] = [given.encode(word), read.encode(word)]
    if (String(a) === String(b)) continue
    throw new SaqrError(
      'EXPORT_TOKENIZER',
      `the tokenizer in ${path} cuts ${JSON.stringify(word)} into ${b.join(' ')}, the model's own into ${a.join(' ')}: it has rules that the file doesn't say`,
    )
  }
}

/**
 * Mean nats that a file may be apart by. f32 leaves the order of sums; f16 keeps 11 bits of a weight and bf16 8, and a model that computes in bf16
 * rounds every activation so. Those of blocks are a few times what SmolLM2-135M showed: what is written is held exactly by its values (gguf-values.ts).
 */
const BOUND: Readonly<Record<Quantization, number>> = {
  f32: 1e-5,
  f16: 1e-4,
  bf16: 1e-2,
  q8_0: 1e-2,
  q6_k: 3e-2,
  q5_k_m: 0.1,
  q4_k_m: 0.25,
  q5_1: 0.25,
  q5_0: 0.25,
  q4_1: 0.5,
  q4_0: 0.5,
}

const isOfBase = ({ kl, share, error }: FromBase, computed: 'f32' | 'bf16') =>
  kl > BOUND[computed] && ((error <= 1 / 6 && share <= 0.5) || share + 2.5 * error < 0.5)

export interface Judged {
  bound: number
  /** is it what was trained? */
  holds: boolean
  /** worth telling: the file is right, and coarse */
  note: string | null
}

/**
 * A quantised file may be worse than its bound and still be the model; four times as bad, it is none. Nor is it where it is no nearer to the trained
 * model than to the base, as far as that can be told: they differ by more than computing may differ by, and the middle between them is three
 * standard errors away from both, or the file two and a half from the middle on the base's side.
 */
export function judge(compared: Compared, quantization: Quantization, computed: 'f32' | 'bf16', base: FromBase | null = null): Judged {
  const bound = Math.max(BOUND[quantization], computed === 'bf16' ? BOUND.bf16 : 0)
  const { kl, most } = compared
  if (Number.isNaN(most) || (base && isOfBase(base, computed))) return { bound, holds: false, note: null }
  if (kl <= bound) return { bound, holds: true, note: null }
  if (!isQuantised(quantization) || !(kl <= 4 * bound)) return { bound, holds: false, note: null }
  return { bound, holds: true, note: `${quantization} is coarse for this model: take a type with more bits` }
}

export const NOT_ASKED = 'not asked beside the trained model'

/** "opened again, it is 1.2e-10 nats from the trained model (0.00001 allowed) …" */
export function foundLine({ kl, bound, same, positions, base }: Found): string {
  const agree = `the likeliest token is the same in ${Math.round(same * positions)} of ${positions}`
  const without = base ? `, which is ${base.kl.toExponential(1)} from its base` : ''
  return `opened again, it is ${kl.toExponential(1)} nats from the trained model (${bound} allowed)${without}, ${agree}`
}

/** how something that is not the trained model differs from it */
export function apart({ positions, kl, most, base, bound }: Found): string {
  const far = `over ${positions} next tokens it is ${kl.toPrecision(3)} nats apart (probabilities by up to ${most.toPrecision(3)}), where ${bound} is allowed`
  return base
    ? `${far}; it has gone ${base.share.toFixed(2)} (± ${base.error.toFixed(2)}) of the ${base.kl.toPrecision(3)} nats from the base to it`
    : far
}
