/** A model's trained part as files: a PEFT adapter, or a whole checkpoint where all weights are trained. */
import { join } from 'node:path'
import { bytesOf } from '../formats/numbers.ts'
import { type AdapterConfig, writeAdapterConfig } from '../formats/peft/config.ts'
import { writeSafetensors } from '../formats/safetensors/write.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import { ensureWritableFolder } from '../hub/files.ts'
import type { LanguageModel } from './language-model.ts'
import { writeModelFolder } from './model-folder.ts'

/** What PEFT puts before every module path. */
export const PEFT_PREFIX = 'base_model.model.'

/** LoRA: adapter_config.json and adapter_model.safetensors (f32); full: config.json, weights in the model's dtype, tokenizer. */
export async function saveTrained(model: LanguageModel, folder: string): Promise<void> {
  ensureWritableFolder(folder)
  const { config } = model.adapter
  if (config) return saveAdapter(model, config, folder)
  const trained = model.trained
  await writeModelFolder(model.open, folder, (t: CheckpointTensor) => trained?.values(t.name) ?? null)
}

async function saveAdapter(model: LanguageModel, config: AdapterConfig, folder: string): Promise<void> {
  const { trainables } = model
  const tensors = trainables.names.map((name) => {
    const { rows, cols } = trainables.shape(name)
    const shape = trainables.isVector(name) ? [cols] : [rows, cols]
    return { name: PEFT_PREFIX + name, dtype: 'F32', shape, data: () => bytesOf(trainables.get(name)) }
  })
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt' })
  writeAdapterConfig(folder, { ...config, inferenceMode: true })
}
