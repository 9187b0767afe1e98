/**
 * Targets that mean a mixture's experts, as PEFT 0.21 turns them over: transformers has all experts of a layer in two tensors, so names of
 * linears that an expert once had (gate_proj, up_proj, down_proj; the router, gate) become names of those tensors.
 */
import { option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { Model } from '../models/family.ts'
import type { ParameterSpec } from './adapter.ts'
import { settleApart } from './apart-targets.ts'
import { isAllLinear, isParameter, matches } from './match.ts'

type Targeted = Pick<Model, 'family' | 'experts' | 'apart' | 'linears' | 'head'>

/**
 * @param tensors the model's
 * @throws SaqrError OPTION_MODULES for one of two linears that lie in one tensor, and for a name that means experts where there are none
 */
export function settleTargets(given: AdapterConfig, model: Targeted, tensors: readonly ParameterSpec[]): AdapterConfig {
  return settleFused(settleApart(given, model, tensors), model, tensors)
}

/** A settled adapter's targets with all names that may have meant its experts: settled again they give the same, and what patterns such names bring. */
export function withOlderNames(config: AdapterConfig, model: Targeted, tensors: readonly ParameterSpec[]): AdapterConfig {
  const { targetModules, targetParameters } = config
  if (typeof targetModules === 'string') return config
  const linears = Object.entries(model.experts?.parameters ?? {}).filter(([, parameter]) => targetParameters?.includes(parameter))
  const stacks = tensors.filter(({ name, role }) => role === 'experts' && isParameter(config, name))
  const pieces = stacks.flatMap(({ name }) => model.apart?.(name) ?? []).filter((piece) => piece.endsWith('.weight'))
  const names = [...linears.map(([name]) => name), ...pieces.map((piece) => piece.replace(/\.weight$/, ''))]
  return { ...config, targetModules: [...targetModules, ...names] }
}

function settleFused(config: AdapterConfig, model: Targeted, tensors: readonly ParameterSpec[]): AdapterConfig {
  const { experts } = model
  if (!experts) return config
  const asText = typeof config.targetModules === 'string'
  const given = typeof config.targetModules === 'string' ? resolved(config.targetModules, model, tensors) : config.targetModules
  if (given.length === 0 && typeof config.targetModules === 'string') return config
  const modules: string[] = []
  const parameters = new Set(config.targetParameters ?? [])
  const meant = new Map<string, Set<string>>()
  for (const target of given) {
    const old = Object.keys(experts.parameters).find((name) => target === name || target.endsWith(`.${name}`))
    if (old === undefined) modules.push(target)
    else {
      const parameter = experts.parameters[old]!
      if (!tensors.some(({ name }) => name.endsWith(`.${parameter}`))) {
        // what means everything means what there is
        if (asText) continue
        const others = model.linears.filter((name) => !Object.hasOwn(experts.parameters, name))
        throw new SaqrError(
          'OPTION_MODULES',
          say`${option('targetModules')} names ${target}: in a ${model.family} model PEFT means experts by it, and this one has none; ${others.join(', ')} can be named`,
        )
      }
      parameters.add(parameter)
      meant.set(parameter, (meant.get(parameter) ?? new Set()).add(old))
    }
  }
  // an adapter that PEFT wrote is as it is meant
  if (meant.size === 0) return { ...config, targetModules: [...new Set(modules)], targetParameters: config.targetParameters ?? [] }
  const { rankPattern, alphaPattern } = { rankPattern: { ...config.rankPattern }, alphaPattern: { ...config.alphaPattern } }
  for (const [parameter, parts] of Object.entries(experts.fused)) {
    const found = parts.filter((part) => meant.get(parameter)?.has(part))
    if (found.length === 0) continue
    const missing = parts.filter((part) => !found.includes(part))
    if (missing.length > 0)
      throw new SaqrError(
        'OPTION_MODULES',
        say`${option('targetModules')} names ${found.join(', ')} without ${missing.join(', ')}: both lie in one tensor of the experts, ${parameter}, and get one low-rank part`,
      )
    // of each branch r: both together have twice as many
    const key = String.raw`.*\.${parameter.replaceAll('.', String.raw`\.`)}`
    rankPattern[key] = config.r * parts.length
    alphaPattern[key] = config.loraAlpha * parts.length
  }
  return { ...config, targetModules: [...new Set(modules)], targetParameters: [...parameters].sort(), rankPattern, alphaPattern }
}

/** Last names of what a string means: every linear and every expert, or what the expression matches. */
function resolved(given: string, { experts, head }: Targeted, tensors: readonly ParameterSpec[]): string[] {
  const { parameters } = experts!
  const pathOf = ({ name }: ParameterSpec) => name.replace(/\.(weight|bias)$/, '')
  const paths = tensors.map(pathOf)
  const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)
  const linears = tensors.filter(({ role }) => role === 'linear').map(pathOf).filter((path) => path !== head.path) // biome-ignore format: short
  if (isAllLinear(given)) return [...new Set([...linears.map(last), ...Object.keys(parameters)])]
  const modules = tensors.filter(({ role }) => role === 'linear' || role === 'router' || role === 'embedding').map(pathOf)
  const found = new Set(modules.filter((path) => matches(given, path)).map(last))
  for (const [old, parameter] of Object.entries(parameters)) {
    const containers = paths.filter((path) => path.endsWith(`.${parameter}`)).map((path) => path.slice(0, -parameter.length))
    if (containers.some((container) => matches(given, container + old))) found.add(old)
  }
  return [...found]
}
