/**
 * Adapters over a mixture whose files have low-rank parts of dense and shared MLPs by names that PEFT 0.21 takes for experts alone (up_proj): with
 * transformers 4, where each expert's linears were modules too, such a name meant all of them. PEFT 0.21 leaves those parts unread, without a word;
 * here the file says what is meant. Each such linear becomes a target parameter, the form in which PEFT 0.21 reads it. So do experts of some layers,
 * which PEFT 0.21 reads, with untrained parts for those of the others.
 */
import type { AdapterConfig } from '../formats/peft/config.ts'
import { alphaOf, rankOf } from '../formats/peft/scale.ts'
import type { ExpertTargets, Model } from '../models/family.ts'
import type { ParameterSpec } from './adapter.ts'
import { valuesOf } from './apart-targets.ts'
import { isNamed, isParameter, matches } from './match.ts'

const pathOf = (name: string) => name.replace(/\.weight$/, '')
const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)
const literal = (name: string) => name.replaceAll('.', String.raw`\.`)

/** @param all tensors of the model */
export function settleOwn(
  given: AdapterConfig,
  model: Pick<Model, 'experts' | 'head' | 'pieces'>,
  all: () => readonly ParameterSpec[],
): AdapterConfig {
  const { inFile, ...config } = given
  const { experts, head } = model
  // a bias beside such a part is of a module, which none of these is then
  if (!inFile || !experts || config.bias !== 'none') return config
  const { targetModules } = config
  const tensors = all()
  const named = namedOf(inFile, config, head.path)
  const older = Object.keys(experts.parameters)
  const own = tensors.flatMap(({ name, role }) => {
    const path = pathOf(name)
    return role === 'linear' && named.has(path) && older.includes(last(path)) ? [path] : []
  })
  const stacks = tensors.flatMap(({ name, role }): Stack[] => {
    if (role !== 'experts' && role !== 'router') return []
    const paths = [name, ...(model.pieces?.(name).flat() ?? [])].map(pathOf)
    return [{ name, paths: paths.filter((path) => named.has(path)) }]
  })
  const some = areApart(stacks, config, experts) ? stacks.filter(({ paths }) => paths.length > 0) : []
  const pieces = new Set(some.length > 0 ? [] : stacks.flatMap(({ paths }) => paths))
  if (own.length === 0 && some.length === 0 && (typeof targetModules !== 'string' || pieces.size === 0)) return config
  const taken = new Set([...own, ...some.flatMap(({ paths }) => paths)])
  const means = (target: string, paths: Iterable<string>) => [...paths].some((path) => matches([target], path))
  const isTaken = (target: string) => (taken.has(target) || means(target, taken)) && !means(target, pieces)
  const patterns = { rankPattern: { ...config.rankPattern }, alphaPattern: { ...config.alphaPattern } }
  const parts = [...own.map((path) => ({ name: `${path}.weight`, paths: [path] })), ...some]
  for (const { name, paths } of parts) {
    const standing = { ...config, ...patterns }
    const [one, n] = [valuesOf({ paths }, config), experts.fused[last(name)]?.length ?? 1]
    // n linears in one tensor have n times the rank, and still each its own scale: alpha / r, of rsLoRA alpha / √r
    const [r, alpha] = [n * one.r, (config.useRslora ? Math.sqrt(n) : n) * one.alpha]
    // before theirs: the first that matches counts
    if (rankOf(standing, name) !== r) patterns.rankPattern = { [literal(name)]: r, ...patterns.rankPattern }
    if (alphaOf(standing, name) !== alpha) patterns.alphaPattern = { [literal(name)]: alpha, ...patterns.alphaPattern }
  }
  return {
    ...config,
    ...patterns,
    targetModules:
      typeof targetModules === 'string'
        ? [...new Set([...[...named].filter((path) => !taken.has(path) && !pieces.has(path)), ...[...pieces].map(last)])]
        : targetModules.filter((target) => !isTaken(target)),
    targetParameters: [
      ...new Set([...(config.targetParameters ?? []), ...parametersFor(own, tensors), ...some.map(({ name }) => name)]),
    ].sort(),
  }
}

/** Those that the targets mean: thousands of an adapter whose targets may be as many paths. */
function namedOf(inFile: readonly string[], config: AdapterConfig, head: string): Set<string> {
  const { targetModules } = config
  const paths = new Set(Array.isArray(targetModules) ? targetModules : [])
  const given = new Set(inFile)
  const names = Array.isArray(targetModules) ? { ...config, targetModules: targetModules.filter((target) => !given.has(target)) } : config
  const isMeant = (path: string) => {
    const one = paths.has(path) ? { ...config, targetModules: [path] } : names
    return isNamed(one, path, { role: 'linear', head })
  }
  return new Set(inFile.filter(isMeant))
}

/** A tensor of all experts of a layer, or of their router. */
interface Stack {
  name: string
  /** what files call its parts, those that the file has a low-rank part of */
  paths: string[]
}

const kindOf = (name: string) => name.replace(/^.*?\.\d+\./, '')

/**
 * Would names of linears mean other than what the file has: those of more layers, or of another rank or scale (which patterns give to names)? Of
 * rsLoRA over gate and up PEFT 0.21 makes one part of √2 times the scale that each had.
 */
function areApart(stacks: readonly Stack[], config: AdapterConfig, { fused }: ExpertTargets): boolean {
  const there = stacks.filter(({ paths }) => paths.length > 0)
  const isElsewhere = ({ name }: Stack) => stacks.some((other) => kindOf(other.name) === kindOf(name) && other.paths.length === 0)
  const isOther = (path: string) => rankOf(config, path) !== config.r || alphaOf(config, path) !== config.loraAlpha
  const isRescaled = ({ name }: Stack) => config.useRslora && (fused[last(name)]?.length ?? 1) > 1
  return there.some((stack) => isElsewhere(stack) || isRescaled(stack) || stack.paths.some(isOther))
}

/** Their tensors: by what they are called in every block where that means no others, else in full. */
function parametersFor(own: readonly string[], tensors: readonly ParameterSpec[]): string[] {
  const names = new Set(own.map((path) => `${path}.weight`))
  return [...names].map((name) => {
    const kind = kindOf(name)
    return tensors.every((t) => names.has(t.name) || !isParameter({ targetParameters: [kind] }, t.name)) ? kind : name
  })
}
