/**
 * An adapter alone as a GGUF file: what llama.cpp lays over the file of the base (`--lora`). Its scale is alpha / rank there, of one alpha: where
 * a module's own differs (rsLoRA, alpha_pattern), its B takes the difference.
 */
import { basename, dirname } from 'node:path'
import type { LanguageModel } from '../engine/language-model.ts'
import { SaqrError } from '../error.ts'
import { ensureWritableFolder } from '../formats/files.ts'
import { QUANTIZATIONS, type Quantization } from '../formats/gguf/mixture.ts'
import { placeTensors, type Sizes, type Source } from '../formats/gguf/place.ts'
import { type GgmlType, ggmlType } from '../formats/gguf/types.ts'
import { type Entries, f32, type GgufTensorToWrite, text, u32, writeGguf } from '../formats/gguf/write.ts'
import { loraScale } from '../formats/peft/scale.ts'
import { textName, toWrite } from './gguf.ts'
import { ggufOf } from './gguf-config.ts'
import type { SavedGguf } from './save-gguf.ts'

/** types that llama.cpp multiplies adapters in, as its own converter writes them */
export const ADAPTER_TYPES = ['f32', 'f16', 'bf16', 'q8_0'] as const satisfies readonly Quantization[]
export type AdapterType = (typeof ADAPTER_TYPES)[number]

export const isAdapterType = (name: string): name is AdapterType => (ADAPTER_TYPES as readonly string[]).includes(name)

/** An older file of that name is replaced by a whole one. @throws SaqrError EXPORT_ADAPTER, EXPORT_FAMILY, EXPORT_TENSOR, FORMAT_… */
export async function saveGgufAdapter(language: LanguageModel, path: string, type: AdapterType): Promise<SavedGguf> {
  const modules = checkAdapter(language)
  ensureWritableFolder(dirname(path))
  const notes = language.opened.choice.loadIn4bit
    ? ['the adapter was trained over NF4: over a file of other weights of this base it answers a little otherwise than it was trained to']
    : []
  const bytes = await language.opened.device.turn(async () => {
    const { metadata, tensors } = adapterFile(language, modules, type, basename(path, '.gguf'))
    return writeGguf(path, metadata, tensors)
  })
  return { path, bytes, quantization: type, compared: null, parts: 1, notes }
}

/** @returns paths of the modules with a low-rank part. @throws SaqrError EXPORT_ADAPTER naming what llama.cpp can't lay over a base */
export function checkAdapter(language: LanguageModel): string[] {
  const { adapter, kept, opened } = language
  const fail = (why: string): never => {
    throw new SaqrError('EXPORT_ADAPTER', `llama.cpp can't lay this adapter over a model: ${why}. Write it merged instead`)
  }
  const { model } = opened
  if (adapter.config === null) return fail('there is none')
  const layout = ggufOf(model)
  if (layout.byHead) fail(`of the architecture ${layout.architecture} it computes attention's linears without adapters`)
  if (opened.resized.length > 0) fail('the vocabulary was resized, and the base has no rows for the new tokens')
  if (kept.length > 0) fail(`it keeps tensors beside the low-rank ones (${kept[0]![0]})`)
  const { trainables } = language
  const modules: string[] = []
  for (const name of trainables.names) {
    const [, path, part] = /^(.+)\.lora_(A|B)\.weight$/.exec(name) ?? []
    const { spec } = trainables.layout.entries.get(name)!
    if (spec.experts) fail(`${name} is of experts`)
    if (path === undefined) fail(`${name} is trained, which is no low-rank part of a linear`)
    if (spec.role !== 'linear') fail(`${name} is of a ${spec.role}`)
    if (path === model.head.path && model.head.tiedTo) fail(`${name} is of a head that is the embedding: files of this base have none`)
    if (part === 'A') modules.push(path!)
  }
  const none = modules.find((path) => loraScale(adapter.config!, path) === 0)
  if (none !== undefined) fail(`the scale of ${none} is 0, which a file says as 1`)
  return modules
}

interface AdapterFile {
  metadata: Entries
  tensors: GgufTensorToWrite[]
}

function adapterFile(
  { adapter, trainables, opened }: LanguageModel,
  modules: readonly string[],
  type: AdapterType,
  name: string,
): AdapterFile {
  const { model } = opened
  const config = adapter.config!
  const layout = ggufOf(model)
  const { most, fileType } = QUANTIZATIONS[type]
  const described = layout.describe(model.config)
  const sizes: Sizes = {
    heads: model.config.count('num_attention_heads'),
    kvHeads: described.keys['attention.head_count_kv']?.value as number,
  }
  const rank = (path: string) => trainables.shape(`${path}.lora_A.weight`).rows
  const alpha = Math.fround(loraScale(config, modules[0]!) * rank(modules[0]!))
  const tensors = modules.flatMap((path) => {
    const source = (part: 'A' | 'B', factor: number): Source => {
      const from = `${path}.lora_${part}.weight`
      const { rows, cols } = trainables.shape(from)
      const read = (row: number, count: number) => {
        const values = trainables.rows(from, row, count)
        return factor === 1 ? values : values.map((x) => x * factor)
      }
      return { name: textName(model, `${path}.weight`), shape: [rows, cols], rows, cols, read }
    }
    // B's rows are the linear's: they lie as its own rows do
    const placed = placeTensors([source('B', apart(loraScale(config, path), alpha / rank(path)))], layout, sizes)
    const [b] = placed
    if (placed.length !== 1 || !b)
      throw new SaqrError('EXPORT_ADAPTER', `${path} is several tensors in a GGUF file, which no adapter is for: merge it instead`)
    const a = { ...source('A', 1), name: `${b.name}.lora_a` }
    return [toWrite(a, fitting(most, a.cols)), toWrite({ ...b, name: `${b.name}.lora_b` }, fitting(most, b.cols))]
  })
  const base = config.baseModelNameOrPath
  return {
    metadata: {
      'general.architecture': text(layout.architecture),
      'general.type': text('adapter'),
      'general.name': text(name),
      'general.file_type': u32(fileType),
      ...(most === 'Q8_0' ? { 'general.quantization_version': u32(2) } : {}),
      ...(base ? { 'general.base_model.count': u32(1), 'general.base_model.0.name': text(basename(base)) } : {}),
      'adapter.type': text('lora'),
      'adapter.lora.alpha': f32(alpha),
    },
    tensors,
  }
}

/** What B is multiplied by; scales that differ by rounding alone (alpha has 24 bits) are one. */
const apart = (wanted: number, said: number): number => (Math.abs(wanted / said - 1) <= 2 ** -23 ? 1 : wanted / said)

/** ranks that blocks don't divide: f16, as llama.cpp's converter has them */
const fitting = (most: string, cols: number): GgmlType => ggmlType(cols % ggmlType(most).block === 0 ? most : 'F16')
