/**
 * A vocabulary of another size, as transformers' `resize_token_embeddings` makes it: rows at the end of embedding and head go, or new ones are
 * drawn there. By default a new row is drawn around the mean of those that are there, with 1e-9 of their covariance (Hewitt 2021): what the model
 * says then hardly changes. Nothing random is torch's own draw: it is a function of the seed and the tensor's name.
 */
import { SaqrError, say } from '../error.ts'
import type { JsonObject } from '../formats/json.ts'
import { withKeys } from '../formats/json-exact.ts'
import { asF32, asU16, bf16ToF32, bytesOf, f32ToBf16 } from '../formats/numbers.ts'
import type { Checkpoint, CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'
import { LanguageModel } from './language-model.ts'
import { SeededRandom } from './random.ts'
import { embeddingOf, withTensors } from './settle.ts'
import type { Trainables } from './trainables.ts'

export interface ResizeOptions {
  /** rows are a multiple of it; default 1 */
  padToMultipleOf?: number | null
  /** false: new rows are drawn around 0, with the initializer_range of config.json; default true */
  meanResizing?: boolean
}

interface Drawn {
  seed: number
  /** what the model's frozen weights are held in: what new rows are rounded to */
  dtype: 'f32' | 'bf16'
  /** the rows that new ones are drawn around: those of the files, or what training made of them */
  around: (t: CheckpointTensor) => CheckpointTensor
}

/** of the covariance */
const SPREAD = 1e-9
/** elements read at once */
const CHUNK = 1 << 20

/** names of the tensors that have a row for each token */
export function tokenTensors(model: Model): string[] {
  const { head } = model
  return head.tiedTo === undefined ? [embeddingOf(model), `${head.path}.weight`] : [embeddingOf(model)]
}

/** @param rows of embedding and head */
export function resized(
  checkpoint: Checkpoint,
  model: Model,
  rows: number,
  { meanResizing = true }: ResizeOptions,
  how: Drawn,
): Checkpoint {
  const { composite, vocab } = model
  const text = (composite ? checkpoint.config[composite.config] : checkpoint.config) as JsonObject
  const tensors = new Map(checkpoint.tensors)
  for (const name of tokenTensors(model)) {
    const there = checkpoint.tensors.get(name)!
    const range = Number(text.initializer_range ?? 0.02)
    const random = new SeededRandom(how.seed, `${name}.resized`)
    const count = Math.max(0, rows - vocab)
    const made = meanResizing ? aroundMean(how.around(there), count, random, how.dtype) : around0(count * there.cols, range, random)
    tensors.set(name, withRows(there, rows, rounded(made, how.dtype)))
  }
  const sized = withKeys(text, { vocab_size: rows })
  return withTensors(checkpoint, composite ? withKeys(checkpoint.config, { [composite.config]: sized }) : sized, tensors)
}

const around0 = (n: number, std: number, random: SeededRandom) => Float32Array.from({ length: n }, () => random.normal() * std)

const rounded = (values: Float32Array, dtype: Drawn['dtype']) => (dtype === 'bf16' ? bf16ToF32(f32ToBf16(values)) : values)

/**
 * Rows N(mean, 1e-9 · covariance): the mean and √(1e-9 / V) · Σ_v z_v · (w_v − mean) with z standard normal, which has just this covariance and
 * asks for no decomposition of it. Where the covariance is of no full rank (fewer rows than channels, or a channel that never changes)
 * transformers takes the mean itself, and so do we.
 */
function aroundMean(t: CheckpointTensor, count: number, random: SeededRandom, dtype: Drawn['dtype']): Float32Array {
  const { rows, cols } = t
  const mean = new Float64Array(cols)
  const [least, most] = [new Float32Array(cols).fill(Number.POSITIVE_INFINITY), new Float32Array(cols).fill(Number.NEGATIVE_INFINITY)]
  eachRow(t, dtype, (w, at) => {
    for (let c = 0; c < cols; c++) {
      const value = w[at + c]!
      mean[c]! += value
      if (value < least[c]!) least[c] = value
      if (value > most[c]!) most[c] = value
    }
  })
  for (let c = 0; c < cols; c++) mean[c]! /= rows
  const made = new Float64Array(count * cols)
  if (rows > cols && mean.every((_, c) => least[c]! < most[c]!)) {
    const scale = Math.sqrt(SPREAD / rows)
    // Σ z·(w − mean) = Σ z·w − (Σ z)·mean
    const sums = new Float64Array(count)
    eachRow(t, dtype, (w, at) => {
      for (let i = 0; i < count; i++) {
        const z = random.normal() * scale
        sums[i]! += z
        for (let c = 0, to = i * cols; c < cols; c++, to++) made[to]! += z * w[at + c]!
      }
    })
    for (let i = 0; i < count; i++) for (let c = 0; c < cols; c++) made[i * cols + c]! -= sums[i]! * mean[c]!
  }
  return Float32Array.from(made, (value, i) => value + mean[i % cols]!)
}

/** rows of a tensor as the model holds them */
function eachRow(t: CheckpointTensor, dtype: Drawn['dtype'], visit: (values: Float32Array, at: number) => void): void {
  const step = Math.max(1, Math.floor(CHUNK / t.cols))
  for (let row = 0; row < t.rows; row += step) {
    const count = Math.min(step, t.rows - row)
    const bytes = t.load(dtype, row, count)
    const values = dtype === 'bf16' ? bf16ToF32(asU16(bytes)) : asF32(bytes)
    for (let i = 0; i < count; i++) visit(values, i * t.cols)
  }
}

/** the first rows of `t`, and behind them those of `more` (f32) */
function withRows(t: CheckpointTensor, rows: number, more: Float32Array): CheckpointTensor {
  const { cols } = t
  const old = Math.min(rows, t.rows)
  return {
    ...t,
    shape: [rows, cols],
    rows,
    bytes: (t.bytes / t.rows) * rows,
    source: undefined,
    blocks: undefined,
    quant: undefined,
    load(dtype, from = 0, count = rows - from) {
      const own = from < old ? t.load(dtype, from, Math.min(from + count, old) - from) : new Uint8Array()
      const end = from + count - old
      if (end <= 0) return own
      const values = more.subarray(Math.max(0, from - old) * cols, end * cols)
      const added = bytesOf(dtype === 'bf16' ? f32ToBf16(values) : values)
      const all = new Uint8Array(own.byteLength + added.byteLength)
      all.set(own)
      all.set(added, own.byteLength)
      return all
    },
  }
}

/** @throws SaqrError OPTION_INVALID where other models are over the base, or an adapter is; MODEL_DISPOSED */
export function checkResizable(model: LanguageModel): void {
  model.alive()
  const { opened, spec } = model
  const refuse = (why: string) =>
    new SaqrError(
      'OPTION_INVALID',
      `the vocabulary of this model can't be resized: ${why}. Resize it before getPeftModel, on the model that fromPretrained gave`,
    )
  if (spec.kind === 'lora' || opened.checkpoint.adapter) throw refuse('an adapter is over it, whose tensors are of the size that it has')
  if (opened.users.size > 1) throw refuse('other models are over the same base')
}

/**
 * A model over a base whose vocabulary gets another size; the one given is disposed of. Where all weights are trained they go on as they are.
 * @throws SaqrError as `checkResizable`
 */
export function resizeModel(given: LanguageModel, rows: number, options: ResizeOptions & { seed: number }): LanguageModel {
  const { opened, trained } = given
  checkResizable(given)
  const names = tokenTensors(opened.model)
  const around = (t: CheckpointTensor) => (trained ? asTrained(t, trained) : t)
  const how = { seed: options.seed, dtype: opened.choice.dtype, around }
  const sized = resized(opened.checkpoint, opened.model, rows, options, how)
  const model = opened.replace(sized, names, given.recorder, () => over(given, names, options.seed))
  model.promptForm = given.promptForm
  model.run = given.run
  given.disposeAdapter()
  return model
}

/** The model over the base as it is now, with what is trained of the one given. */
function over({ opened, spec, trained }: LanguageModel, names: readonly string[], seed: number): LanguageModel {
  const model = new LanguageModel(opened, spec, seed)
  try {
    for (const name of trained?.names ?? []) {
      const values = trained!.get(name)
      if (!names.includes(name)) {
        model.trainables.set(name, values)
        continue
      }
      const all = model.trainables.get(name).slice()
      all.set(values.subarray(0, all.length))
      model.trainables.set(name, all)
    }
    return model
  } catch (error) {
    model.disposeAdapter()
    throw error
  }
}

/** with the values that training gave it */
function asTrained(t: CheckpointTensor, trained: Trainables): CheckpointTensor {
  return {
    ...t,
    source: undefined,
    blocks: undefined,
    load(dtype, from = 0, count = t.rows - from) {
      const values = trained.rows(t.name, from, count)
      return bytesOf(dtype === 'bf16' ? f32ToBf16(values) : values)
    },
  }
}

/** @throws SaqrError OPTION_INVALID */
export function rowsFor(wanted: number | null, present: number, { padToMultipleOf }: ResizeOptions, least: number): number {
  const multiple = padToMultipleOf ?? 1
  const rows = Math.ceil((wanted ?? present) / multiple) * multiple
  if (rows < least)
    throw new SaqrError(
      'OPTION_INVALID',
      say`a vocabulary of ${rows} has no row for the tokenizer's ids up to ${least - 1}: resizeTokenEmbeddings(tokenizer.idLimit), which is ${least}, is the least`,
    )
  return rows
}
