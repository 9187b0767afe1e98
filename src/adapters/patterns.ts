/**
 * rank_pattern and alpha_pattern in which the order of keys doesn't count. Of keys that mean one module the first does, to PEFT too, and both write
 * adapter_config.json with keys sorted: what was trained by one of two keys would be read by the other.
 */
import type { AdapterConfig } from '../formats/peft/config.ts'
import { isMeant } from '../formats/peft/scale.ts'
import type { Model } from '../models/family.ts'
import type { ParameterSpec, Role } from './adapter.ts'
import { isNamed, isParameter, isSaved } from './match.ts'

/**
 * @param tensors the model's
 * @param further modules that it doesn't have, by which ranks and scales are found too
 */
export function settlePatterns(
  config: AdapterConfig,
  { head }: Pick<Model, 'head'>,
  tensors: () => readonly ParameterSpec[],
  further: readonly string[] = [],
): AdapterConfig {
  const settled = { ...config }
  for (const field of ['rankPattern', 'alphaPattern'] as const)
    if (Object.keys(config[field]).length > 1)
      settled[field] = settle(config[field], field, [...lookedUp(config, head, tensors()), ...further])
  return settled
}

/** tensors that get a low-rank part as target_parameters */
const WHOLE: ReadonlySet<Role> = new Set(['linear', 'router', 'experts'])

/** by what rank and scale of low-rank parts are found */
function lookedUp(config: AdapterConfig, { path: head, tiedTo }: Model['head'], tensors: readonly ParameterSpec[]): string[] {
  const isAdapted = (path: string, role: 'linear' | 'embedding') =>
    !isSaved(config.modulesToSave ?? [], path) && isNamed(config, path, { role, head })
  // all-linear and expressions meet norms and routers too, which get none as modules
  const modules = tensors.flatMap(({ name, role }) => {
    const path = name.replace(/\.weight$/, '')
    return (role === 'linear' || role === 'embedding') && isAdapted(path, role) ? [path] : []
  })
  const parameters = tensors.flatMap(({ name, role }) => (WHOLE.has(role) && isParameter(config, name) ? [name] : []))
  // a head that reads the embedding is no tensor of its own
  const ends = isAdapted(head, 'linear') ? [head] : []
  const tied = config.ensureWeightTying && tiedTo !== undefined && (ends.length > 0 || isAdapted(tiedTo, 'embedding')) ? [head, tiedTo] : []
  return [...new Set([...modules, ...parameters, ...ends, ...tied])]
}

/** as it is where sorted keys mean the same; else a key for each module that one means */
function settle(pattern: Record<string, number>, field: 'rankPattern' | 'alphaPattern', paths: readonly string[]): Record<string, number> {
  const given = Object.keys(pattern)
  const first = (keys: readonly string[], path: string) => keys.find((key) => isMeant(key, path, field))
  const valueAt = (key: string | undefined) => (key === undefined ? undefined : pattern[key])
  const sorted = given.toSorted()
  if (paths.every((path) => valueAt(first(given, path)) === valueAt(first(sorted, path)))) return pattern
  const means = paths.flatMap((path) => {
    const value = valueAt(first(given, path))
    return value === undefined ? [] : [[path.replaceAll('.', String.raw`\.`), value] as const]
  })
  // what means nothing is told where adapters are begun
  const idle = given.filter((key) => !paths.some((path) => isMeant(key, path, field)))
  return Object.fromEntries([...means, ...idle.map((key) => [key, pattern[key]!] as const)])
}
