/**
 * Targets that mean each expert's linears by the names of other tools' files (`Model.apart`: gate_up_projs.0, gate_up_projs.1 …), as adapters have
 * them that were trained over such files: all experts of a layer lie in one tensor here, which gets the low-rank part.
 */
import { option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import { alphaOf, isMeant, rankOf } from '../formats/peft/scale.ts'
import type { Model } from '../models/family.ts'
import type { ParameterSpec } from './adapter.ts'
import { isAllLinear, isNamed, isSaved, matches } from './match.ts'
import { settlePatterns } from './patterns.ts'

interface Stack {
  name: string
  /** of each expert's linear */
  paths: string[]
}

/**
 * @param tensors the model's
 * @throws SaqrError OPTION_MODULES where some experts of a layer are meant without the others, or with another rank or scale
 */
export function settleApart(config: AdapterConfig, model: Pick<Model, 'apart' | 'head'>, tensors: readonly ParameterSpec[]): AdapterConfig {
  const { targetModules } = config
  // all-linear means what the model has, whatever its files have
  if (!model.apart || isAllLinear(targetModules)) return config
  const stacks = tensors.flatMap(({ name, role }): Stack[] => {
    const pieces = role === 'experts' ? model.apart!(name).filter((piece) => piece.endsWith('.weight')) : []
    return pieces.length ? [{ name, paths: pieces.map((piece) => piece.replace(/\.weight$/, '')) }] : []
  })
  const meant = stacks.filter((stack) => isMeantWhole(stack, config, model.head.path))
  if (meant.length === 0) return config
  const parameters = new Set(config.targetParameters ?? [])
  const patterns = { rankPattern: { ...config.rankPattern }, alphaPattern: { ...config.alphaPattern } }
  const kindOf = ({ name }: Stack) => name.replace(/^.*\.\d+\./, '')
  for (const kind of new Set(meant.map(kindOf))) {
    const wanted = meant.filter((stack) => kindOf(stack) === kind).map((stack) => ({ name: stack.name, ...valuesOf(stack, config) }))
    const all = wanted.length === stacks.filter((stack) => kindOf(stack) === kind).length
    for (const name of all ? [kind] : wanted.map(({ name }) => name)) parameters.add(name)
    // layers of one rank and scale have one key, others a key each
    const alike = all && wanted.every(({ r, alpha }) => r === wanted[0]!.r && alpha === wanted[0]!.alpha)
    for (const { name, r, alpha } of wanted) {
      const key = alike ? String.raw`.*\.${literal(kind)}` : literal(name)
      const standing = { ...config, ...patterns }
      // before theirs: the first that matches counts
      if (rankOf(standing, name) !== r) patterns.rankPattern = { [key]: r, ...patterns.rankPattern }
      if (alphaOf(standing, name) !== alpha) patterns.alphaPattern = { [key]: alpha, ...patterns.alphaPattern }
    }
  }
  const pieces = stacks.flatMap(({ paths }) => paths)
  const modules = tensors.map(({ name }) => name.replace(/\.(weight|bias)$/, ''))
  const onlyPieces = (means: (path: string) => boolean) => pieces.some(means) && !modules.some(means)
  for (const field of ['rankPattern', 'alphaPattern'] as const)
    for (const key of Object.keys(patterns[field])) if (onlyPieces((path) => isMeant(key, path, field))) delete patterns[field][key]
  // of tensors nothing tells what their linears drop
  const nowhere = { baseModelNameOrPath: null, revision: null }
  const given = () => ({ ...settlePatterns(config, model, () => tensors, pieces), ...nowhere })
  const single = config.single ?? { given: given(), tensors: meant.map(({ name }) => name) }
  return {
    ...config,
    ...patterns,
    ...(config.loraDropout > 0 ? { single } : {}),
    targetModules:
      typeof targetModules === 'string' ? targetModules : targetModules.filter((target) => !onlyPieces((path) => matches([target], path))),
    targetParameters: [...parameters].sort(),
  }
}

function isMeantWhole({ name, paths }: Stack, config: AdapterConfig, head: string): boolean {
  const found = paths.filter((path) => !isSaved(config.modulesToSave ?? [], path) && isNamed(config, path, { role: 'linear', head }))
  if (found.length === 0 || found.length === paths.length) return found.length > 0
  const missing = paths.find((path) => !found.includes(path))!
  throw new SaqrError(
    'OPTION_MODULES',
    say`${option('targetModules')} mean ${found[0]!} and not ${missing}: all experts of a layer lie in tensors, which ${option('targetParameters')} names: ${name.replace(/^.*\.(experts\.)/, '$1')}`,
  )
}

const literal = (name: string) => name.replaceAll('.', String.raw`\.`)

/** As the patterns have them for its experts' linears. @throws SaqrError OPTION_MODULES where those differ: they lie in one tensor */
export function valuesOf({ paths }: Pick<Stack, 'paths'>, config: AdapterConfig): { r: number; alpha: number } {
  return {
    r: same(paths, (path) => rankOf(config, path), 'rankPattern'),
    alpha: same(paths, (path) => alphaOf(config, path), 'alphaPattern'),
  }
}

function same(paths: readonly string[], of: (path: string) => number, field: 'rankPattern' | 'alphaPattern'): number {
  const [first, ...others] = paths as [string, ...string[]]
  const other = others.find((path) => of(path) !== of(first))
  if (other === undefined) return of(first)
  throw new SaqrError(
    'OPTION_MODULES',
    say`${option(field)} has ${of(first)} for ${first} and ${of(other)} for ${other}: they lie in one tensor, whose experts have one rank and scale`,
  )
}
