/** A model as one GGUF file: what llama.cpp and what is built on it run. A tensor at a time, each rounded once from f32. */
import { valuesOf } from '../devices/cpu/dense-values.ts'
import { MADE, toBlocks } from '../devices/cpu/ggml-blocks.ts'
import { dequantised, quantisedHere } from '../engine/computed-base.ts'
import type { LanguageModel } from '../engine/language-model.ts'
import { isBeside } from '../engine/settle.ts'
import { SaqrError } from '../error.ts'
import { type Blocks, isQuantised, QUANTIZATIONS, type Quantization, typesOf } from '../formats/gguf/mixture.ts'
import { placeTensors, type Source } from '../formats/gguf/place.ts'
import type { GgmlType } from '../formats/gguf/types.ts'
import { ggmlType } from '../formats/gguf/types.ts'
import { type Entries, type Entry, type GgufTensorToWrite, text, u32 } from '../formats/gguf/write.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { askedAs, askedNote } from './asked-as.ts'
import { baseNotes } from './base-notes.ts'
import { type Changes, changesOf } from './changed.ts'
import { checkConfig, entriesOf, ggufOf } from './gguf-config.ts'
import { nameFor } from './gguf-name.ts'
import { templateNotes } from './gguf-templates.ts'
import { describeTokenizer, keyedEnds } from './gguf-tokenizer.ts'

export interface GgufFile {
  metadata: Entries
  tensors: GgufTensorToWrite[]
  /** worth telling: what of the model is not in the file, or not as it was trained */
  notes: string[]
}

/** weights converted at once */
const CHUNK = 1 << 22

/**
 * Everything but the bytes, which are made as the file is written: within one turn of the device, as what was trained is read from it.
 * @param name what the file says the model is called
 * @param threads that make blocks; default: as many as processors
 * @throws SaqrError EXPORT_FAMILY, EXPORT_CONFIG, EXPORT_TENSOR, EXPORT_TOKENIZER
 */
export function ggufFile(
  language: LanguageModel,
  tokenizer: Tokenizer,
  quantization: Quantization,
  name: string,
  threads?: number,
): GgufFile {
  const { model, checkpoint } = language.opened
  const layout = ggufOf(model)
  const described = layout.describe(model.config)
  const inNf4 = quantisedHere(language)
  const base = (t: CheckpointTensor) => (inNf4.has(t.name) ? dequantised(t, language) : t)
  const changes = changesOf(language)
  const tied = model.head.tiedTo !== undefined && changes.head === null
  const heads = model.config.count('num_attention_heads')
  const kvHeads = described.keys['attention.head_count_kv']?.value as number
  const pieces = (tensor: string) => model.pieces?.(tensor) ?? []
  const placed = placeTensors(sourcesOf(language, changes, base, tied), layout, {
    heads,
    kvHeads,
    byHead: layout.headRows?.(model.config),
    pieces,
  })
  placed.sort((a, b) => layerOf(a) - layerOf(b))
  const blocks: Blocks = { layers: model.layers, experts: (described.keys.expert_count?.value as number) ?? 0, heads, kvHeads, tied }
  const types = typesOf(placed, quantization, blocks)
  const factors = Object.entries(described.factors ?? {}).map(([factor, given]) => {
    const values = () => [Float32Array.from(given)]
    const data = () => values().map((all) => toBlocks(all, ggmlType('F32')))
    return { name: factor, shape: [given.length], type: ggmlType('F32'), values, data }
  })
  const tensors = [...factors, ...placed.map((source, i) => toWrite(source, types[i]!, threads))]
  const config = entriesOf(described, layout)
  const ends = endsOf(checkpoint.generationConfig?.eos_token_id ?? checkpoint.config.eos_token_id)
  checkConfig(model, [config, tensors], described.factors)
  const template = askedAs(language.promptForm, tokenizer)
  const called = nameFor(name, tokenizer)
  return {
    metadata: {
      ...config,
      ...general(quantization, called.name),
      ...describeTokenizer(tokenizer, {
        modelType: model.family,
        vocab: model.vocab,
        ends,
        whole: layout.tokenizerLacks !== undefined,
        template,
      }),
    },
    tensors,
    notes: [
      ...notesOf(language, placed, types, quantization),
      ...endsNote(tokenizer, ends),
      ...spaceNote(called.otherwise),
      ...templateNotes(tokenizer, template),
      ...askedNote(language.promptForm, tokenizer.chatTemplate !== null, 'gguf'),
    ],
  }
}

function general(quantization: Quantization, name: string): Record<string, Entry> {
  return {
    'general.type': text('model'),
    'general.name': text(name),
    'general.file_type': u32(QUANTIZATIONS[quantization].fileType),
    ...(isQuantised(quantization) ? { 'general.quantization_version': u32(2) } : {}),
  }
}

const endsOf = (ids: unknown): number[] => [ids].flat().filter((id): id is number => typeof id === 'number')

function endsNote(tokenizer: Tokenizer, ends: readonly number[]): string[] {
  const { left } = keyedEnds(tokenizer, ends)
  return left.length > 0 ? [`answers also end with the tokens ${left.join(', ')} here, which a GGUF file has no key for`] : []
}

function spaceNote(otherwise: readonly string[]): string[] {
  if (otherwise.length === 0) return []
  const some = `${otherwise.slice(0, 4).join(' ')}${otherwise.length > 4 ? ` and ${otherwise.length - 4} more` : ''}`
  return [`white space beside ${some} is cut otherwise by llama.cpp than by the model's own tokenizer: a GGUF file has no key for it`]
}

/** the embedding, the last norm and the head come first, then block by block */
const layerOf = ({ name }: Source) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1)

/** a tensor of the text model by its name in a model of text alone */
export const textName = ({ path }: Model, name: string): string =>
  name.startsWith(`${path}.`) ? `model.${name.slice(path.length + 1)}` : name

/** The text model's tensors under the names of a model of text alone, each with what was trained merged into it. */
function sourcesOf(
  { opened }: LanguageModel,
  { changed, head }: Changes,
  base: (t: CheckpointTensor) => CheckpointTensor,
  tied: boolean,
): Source[] {
  const { model, checkpoint } = opened
  const sources = [...checkpoint.tensors.values()]
    .filter(({ name }) => !isBeside(model, name) && !(tied && name === `${model.head.path}.weight`))
    .map((t): Source => ({ name: textName(model, t.name), shape: t.shape, rows: t.rows, cols: t.cols, read: reader(base(t), changed) }))
  if (!head) return sources
  const [rows, cols] = head.shape as [number, number]
  let values: Float32Array | undefined
  const read = (from: number, count: number) => {
    values ??= head.values()
    const part = values.subarray(from * cols, (from + count) * cols)
    if (from + count === rows) values = undefined
    return part
  }
  return [...sources, { name: head.name, shape: head.shape, rows, cols, read }]
}

/** What was trained is asked for once, when the tensor's turn comes, and let go after its last rows. Values hold until the next are read. */
function reader(t: CheckpointTensor, changed: Changes['changed']): Source['read'] {
  let now: ReturnType<Changes['changed']> | undefined
  let room: Float32Array | undefined
  return (from, count) => {
    if (now === undefined) now = changed(t)
    if (!now && !(room && room.length >= count * t.cols)) room = new Float32Array(count * t.cols)
    const values = now ? now.rows(from, count) : valuesOf(t, from, count, room)
    if (from + count === t.rows) now = room = undefined
    return values
  }
}

/** rows in parts, each made when its turn comes */
export function toWrite(source: Source, type: GgmlType, threads?: number): GgufTensorToWrite {
  const { name, shape, rows, cols } = source
  if (!MADE.includes(type)) throw new Error(`no blocks of ${type.name} are made here`)
  const step = Math.max(1, Math.floor(CHUNK / cols))
  function* values() {
    for (let row = 0; row < rows; row += step) yield source.read(row, Math.min(step, rows - row))
  }
  return {
    ...{ name, shape, type, values },
    *data() {
      let [room, written] = [new Uint8Array(0), new Uint8Array(0)] // one is written while the other is filled
      for (const part of values()) {
        const bytes = (part.length / type.block) * type.bytes
        if (room.length < bytes) room = new Uint8Array(bytes)
        try {
          yield toBlocks(part, type, threads, room.subarray(0, bytes))
          ;[room, written] = [written, room]
        } catch (cause) {
          if (!(cause instanceof SaqrError)) throw cause
          throw new SaqrError(cause.code, `${name}: ${cause.message}`, { cause })
        }
      }
    },
  }
}

function notesOf(language: LanguageModel, placed: readonly Source[], types: readonly GgmlType[], quantization: Quantization): string[] {
  const notes: string[] = []
  const beside = besideOf(language.opened.model)
  if (beside) notes.push(`the model of text alone is written: ${beside} stays out of the file`)
  notes.push(...baseNotes(language))
  const most = QUANTIZATIONS[quantization].most
  const odd = placed.filter(
    ({ shape }, i) =>
      isQuantised(quantization) && shape.length > 1 && shape.at(-1)! % ggmlType(most).block !== 0 && types[i]!.name !== 'F32',
  )
  if (odd.length > 0) {
    const as = [...new Set(odd.map(({ name }) => types[placed.findIndex((p) => p.name === name)]!.name))].join(', ')
    notes.push(
      `${odd.length} of ${placed.length} tensors are ${as} instead: their rows don't divide into the ${ggmlType(most).block} weights of a block of ${most}`,
    )
  }
  return notes
}

const besideOf = ({ composite }: Model) => composite?.beside.map((path) => path.split('.').at(-1)).join(' and ')
