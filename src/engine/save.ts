/** A model's trained part as files: a PEFT adapter, or a whole checkpoint where all weights are trained. */
import { join, resolve } from 'node:path'
import { tokenRowsOf } from '../adapters/token-rows.ts'
import { withoutInput } from '../adapters/whole-tensors.ts'
import { writePromptForm } from '../data/prompt-form.ts'
import { type AdapterConfig, writeAdapterConfig } from '../formats/peft/config.ts'
import { PEFT_PREFIX } from '../formats/peft/read.ts'
import { readSafetensors } from '../formats/safetensors/read.ts'
import { type TensorToWrite, writeSafetensors } from '../formats/safetensors/write.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import { writeTokenizer } from '../formats/tokenizer-files.ts'
import { ensureWritableFolder, readRange, writeFilesTogether } from '../hub/files.ts'
import type { LanguageModel } from './language-model.ts'
import { writeModelFolder } from './model-folder.ts'
import { checkModelFolder } from './save-target.ts'
import { parametersOf } from './settle.ts'
import { singleExperts } from './single-experts.ts'
import { checkUnfusable, unfuse } from './unfused.ts'

const WEIGHTS = 'adapter_model.safetensors'

export interface AdapterForm {
  /** a low-rank part for each expert's linears, as what serves adapters reads them (`unfused.ts`) */
  unfuseExperts?: boolean
}

/**
 * LoRA: adapter_config.json and adapter_model.safetensors (f32); full: config.json, weights in the model's dtype. The tokenizer beside them.
 * Written within one turn of the device: between two optimizer steps of whoever trains it meanwhile.
 */
export async function saveTrained(model: LanguageModel, folder: string, form: AdapterForm = {}): Promise<void> {
  if (form.unfuseExperts) checkUnfusable(model)
  if (model.adapter.config === null) checkModelFolder(model.opened, folder)
  ensureWritableFolder(folder)
  await model.opened.device.turn(() => writeTrained(model, folder, form))
}

async function writeTrained(model: LanguageModel, folder: string, form: AdapterForm): Promise<void> {
  const { config } = model.adapter
  const { trained, tokenizer } = model
  if (config) {
    await writeFilesTogether(folder, async (part) => {
      writePromptForm(part, model.promptForm, { load_in_4bit: model.opened.choice.loadIn4bit }, model.run)
      if (tokenizer) writeTokenizer(part, tokenizer)
      await saveAdapter(model, config, part, form)
    })
    relocate(model.kept, join(folder, WEIGHTS))
    return
  }
  writePromptForm(folder, model.promptForm, undefined, model.run)
  const changed = ({ name }: CheckpointTensor) =>
    trained?.layout.entries.has(name) ? { rows: (from: number, count: number) => trained.rows(name, from, count) } : null
  await writeModelFolder(model.opened, folder, changed, { tokenizer })
}

async function saveAdapter(model: LanguageModel, given: AdapterConfig, folder: string, { unfuseExperts }: AdapterForm): Promise<void> {
  const { trainables, adapter, kept } = model
  const path = join(folder, WEIGHTS)
  const written = (as: string, name: string): TensorToWrite => {
    return { name: PEFT_PREFIX + as, dtype: 'F32', shape: trainables.fileShape(name), data: () => trainables.fileChunks(name) }
  }
  const asTrained = (name: string) => written(name, name)
  const { config, tensors: trained } = unfuseExperts
    ? unfuse(model)
    : given.single
      ? singleExperts(model, given.single, asTrained)
      : { config: given, tensors: trainables.names.map(asTrained) }
  const tensors = [
    ...trained,
    ...[...(adapter.copies ?? [])].map(([copy, name]) => written(copy, name)),
    ...resizedBase(model),
    ...kept.map(([name, { storage, shape, path, offset, bytes }]) => ({
      name: PEFT_PREFIX + name,
      dtype: storage,
      shape,
      data: () => readRange(path, offset, bytes),
    })),
  ]
  await writeSafetensors(path, tensors, { format: 'pt' })
  // dropout that never acts, for which PEFT would refuse the whole adapter (what opens it tells)
  const idle = withoutInput(given, parametersOf(model.opened.model).keys()) !== undefined
  writeAdapterConfig(folder, { ...config, ...(idle ? { loraDropout: 0 } : {}), inferenceMode: true })
}

/**
 * Embedding and head of a vocabulary that was resized, as PEFT keeps them (save_embedding_layers="auto") in the model's dtype: the base's own have
 * no rows for the new tokens. Those that are trained whole are saved as such.
 */
function resizedBase({ opened, trainables, adapter, kept }: LanguageModel): TensorToWrite[] {
  const { checkpoint, choice, model } = opened
  if (opened.resized.length === 0) return []
  const embedding = opened.resized[0]!
  const head = `${model.head.path}.weight`
  const there = new Set([...trainables.names, ...(adapter.copies?.keys() ?? []), ...kept.map(([name]) => name)])
  return [...new Set([embedding, head])].flatMap((name): TensorToWrite[] => {
    if (
      there.has(name) ||
      there.has(name.replace(/weight$/, 'base_layer.weight')) ||
      there.has(name.replace(/weight$/, 'token_adapter.base_layer.weight'))
    )
      return []
    const t = checkpoint.tensors.get(name) ?? checkpoint.tensors.get(embedding)!
    const path = name.replace(/\.weight$/, '')
    const lowRank = there.has(`${path}.lora_A.weight`) || there.has(`${path}.lora_embedding_A`)
    const byRows = tokenRowsOf(adapter.config!, path, { head: model.head.path, tiedTo: model.head.tiedTo }) !== null
    const as = PEFT_PREFIX + (lowRank ? `${path}.base_layer.weight` : byRows ? `${path}.token_adapter.base_layer.weight` : name)
    return [{ name: as, dtype: choice.dtype === 'bf16' ? 'BF16' : 'F32', shape: t.shape, data: () => valuesOf(t, choice.dtype) }]
  })
}

function* valuesOf(t: CheckpointTensor, dtype: 'f32' | 'bf16'): Generator<Uint8Array> {
  const step = Math.max(1, Math.floor(CHUNK / t.cols))
  for (let row = 0; row < t.rows; row += step) yield t.load(dtype, row, Math.min(step, t.rows - row))
}

/** elements written at once */
const CHUNK = 1 << 20

/** Kept tensors of a file that was written over lie elsewhere in it now. */
function relocate(kept: LanguageModel['kept'], path: string): void {
  const moved = kept.filter(([, stored]) => resolve(stored.path) === resolve(path))
  if (moved.length === 0) return
  const { tensors } = readSafetensors(path)
  for (const [name, stored] of moved) stored.offset = tensors.get(PEFT_PREFIX + name)!.offset
}
