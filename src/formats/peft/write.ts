/** Writes a LoRA adapter folder as PEFT's save_pretrained does: PEFT, and all that read its files, open it. */
import { join } from 'node:path'
import { ensureWritableFolder } from '../files.ts'
import { type TensorToWrite, writeSafetensors } from '../safetensors/write.ts'
import { type AdapterConfig, writeAdapterConfig } from './config.ts'

/** A tensor without its name, which follows from where it belongs. */
export type AdapterTensor = Omit<TensorToWrite, 'name'>

export interface AdapterTensors {
  /** by module path in the base model */
  modules: ReadonlyMap<string, { embedding?: boolean; a: AdapterTensor; b: AdapterTensor; bias?: AdapterTensor }>
  /** modules_to_save and biases, by the base model's tensor name */
  saved?: ReadonlyMap<string, AdapterTensor>
  /** base weights to store along (PEFT does where embed_tokens or lm_head is a target), by the base model's tensor name */
  base?: ReadonlyMap<string, AdapterTensor>
}

/** Names as in the file: a wrapped module's own tensors move below its `base_layer`. */
export function adapterFileTensors({ modules, saved = new Map(), base = new Map() }: AdapterTensors): TensorToWrite[] {
  const tensors: TensorToWrite[] = []
  const add = (name: string, tensor: AdapterTensor) => tensors.push({ ...tensor, name: `base_model.model.${name}` })
  for (const [path, { embedding, a, b, bias }] of modules) {
    add(`${path}.${embedding ? 'lora_embedding_A' : 'lora_A.weight'}`, a)
    add(`${path}.${embedding ? 'lora_embedding_B' : 'lora_B.weight'}`, b)
    if (bias) add(`${path}.lora_B.bias`, bias)
  }
  for (const [name, tensor] of [...saved, ...base]) {
    const dot = name.lastIndexOf('.')
    const module = name.slice(0, dot)
    add(modules.has(module) ? `${module}.base_layer${name.slice(dot)}` : name, tensor)
  }
  return tensors
}

/** Weights first: a folder with a configuration is complete. Errors: those of `writeSafetensors`. */
export async function writeAdapter(folder: string, config: AdapterConfig, tensors: AdapterTensors): Promise<void> {
  ensureWritableFolder(folder)
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), adapterFileTensors(tensors), { format: 'pt' })
  writeAdapterConfig(folder, { ...config, inferenceMode: true })
}
