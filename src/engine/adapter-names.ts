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

/** @throws SaqrError as `readAdapter` */
export function readAdapterOver(folder: string, { composite }: Pick<Model, 'composite'>): Adapter {
  const given = readAdapter(folder)
  if (!composite) return given
  const { renamed } = composite
  const byName = <T>(all: ReadonlyMap<string, T>) => new Map([...all].map(([name, one]) => [renamed(name), one] as const))
  const tensors = (all: ReadonlyMap<string, CheckpointTensor>) =>
    new Map([...byName(all)].map(([name, one]) => [name, { ...one, name: renamed(one.name) }] as const))
  const { config, modules, saved, base, tokens, stored } = given
  return {
    config: { ...asNamed(config, renamed), inFile: config.inFile?.map(renamed) ?? [] },
    // where a tensor lies is one object for all who read it
    ...{ modules: byName(modules), saved: tensors(saved), base: tensors(base), tokens: byName(tokens), stored: byName(stored) },
  }
}

/** Its configuration, with what its file has where that is here too. */
export function adapterConfigOver(folder: string, model: Pick<Model, 'composite'>): AdapterConfig {
  if (isFile(join(folder, ADAPTER_FILE))) return readAdapterOver(folder, model).config
  const config = readAdapterConfig(folder)
  return model.composite ? asNamed(config, model.composite.renamed) : config
}

function asNamed(config: AdapterConfig, renamed: (name: string) => string): AdapterConfig {
  const list = <T>(given: T) => (Array.isArray(given) ? given.map((name) => renamed(name)) : given)
  const keys = (given: Record<string, number>) => Object.fromEntries(Object.entries(given).map(([key, value]) => [renamed(key), value]))
  const { targetModules, modulesToSave, rankPattern, alphaPattern } = config
  return {
    ...config,
    ...{ targetModules: list(targetModules), modulesToSave: list(modulesToSave) },
    ...{ rankPattern: keys(rankPattern), alphaPattern: keys(alphaPattern) },
  }
}
