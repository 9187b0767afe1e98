/**
 * An adapter's files by the names that its base has today: over a model beside others, those of before transformers 4.52 are other names of the same
 * modules (`language_model.model.layers`), in files as in the configuration.
 */
import { join } from 'node:path'
import { isFile } from '../formats/files.ts'
import { type AdapterConfig, readAdapterConfig } from '../formats/peft/config.ts'
import { ADAPTER_FILE, type Adapter, readAdapter } from '../formats/peft/read.ts'
import type { CheckpointTensor } from '../formats/tensor.ts'
import type { Model } from '../models/family.ts'
import { byTodaysPaths } from './older-paths.ts'

/** @throws SaqrError as `readAdapter` and `byTodaysPaths` */
export function readAdapterOver(folder: string, model: Model): Adapter {
  const given = readAdapter(folder)
  const { composite } = model
  if (!composite) return given
  const { renamed } = composite
  const byName = <T>(all: ReadonlyMap<string, T>) => new Map([...all].map(([name, one]) => [renamed(name), one] as const))
  const tensors = (all: ReadonlyMap<string, CheckpointTensor>) =>
    new Map([...byName(all)].map(([name, one]) => [name, { ...one, name: renamed(one.name) }] as const))
  const { config, modules, saved, base, tokens, stored } = given
  return {
    config: { ...byTodaysPaths(config, model, [...modules.keys()]), inFile: config.inFile?.map(renamed) ?? [] },
    // where a tensor lies is one object for all who read it
    ...{ modules: byName(modules), saved: tensors(saved), base: tensors(base), tokens: byName(tokens), stored: byName(stored) },
  }
}

/** Its configuration, with what its file has where that is here too. */
export function adapterConfigOver(folder: string, model: Model): AdapterConfig {
  if (isFile(join(folder, ADAPTER_FILE))) return readAdapterOver(folder, model).config
  const config = readAdapterConfig(folder)
  return model.composite ? byTodaysPaths(config, model, null) : config
}
