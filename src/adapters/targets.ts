/**
 * Targets that mean a mixture's experts, as PEFT 0.21 turns them over: transformers has all experts of a layer in two tensors, so names of
 * linears that an expert once had (gate_proj, up_proj, down_proj; the router, gate) become names of those tensors.
 */
import { option, SaqrError, say } from '../error.ts'
import type { AdapterConfig } from '../formats/peft/config.ts'
import type { ExpertTargets } from '../models/family.ts'
import { matches } from './match.ts'

/**
 * @param names of the model's tensors
 * @throws SaqrError OPTION_MODULES for one of two linears that lie in one tensor
 */
export function settleTargets(config: AdapterConfig, experts: ExpertTargets | undefined, names: readonly string[]): AdapterConfig {
  if (!experts) return config
  const given = typeof config.targetModules === 'string' ? resolved(config.targetModules, experts, names) : config.targetModules
  if (given.length === 0 && typeof config.targetModules === 'string') return config
  const modules: string[] = []
  const parameters = new Set(config.targetParameters ?? [])
  const meant = new Map<string, Set<string>>()
  for (const target of given) {
    const old = Object.keys(experts.parameters).find((name) => target === name || target.endsWith(`.${name}`))
    if (old === undefined) modules.push(target)
    else {
      const parameter = experts.parameters[old]!
      parameters.add(parameter)
      meant.set(parameter, (meant.get(parameter) ?? new Set()).add(old))
    }
  }
  // an adapter that PEFT wrote is as it is meant
  if (meant.size === 0) return { ...config, targetModules: [...given], targetParameters: config.targetParameters ?? [] }
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
function resolved(given: string, { parameters }: ExpertTargets, names: readonly string[]): string[] {
  const paths = names.map((name) => name.replace(/\.(weight|bias)$/, ''))
  const last = (path: string) => path.slice(path.lastIndexOf('.') + 1)
  if (given.toLowerCase() === 'all-linear')
    return [...new Set([...paths.filter((path) => /\.(self_attn|mlp)\.[^.]+_proj$/.test(path)).map(last), ...Object.keys(parameters)])]
  const found = new Set(paths.filter((path) => matches(given, path)).map(last))
  for (const [old, parameter] of Object.entries(parameters)) {
    const containers = paths.filter((path) => path.endsWith(`.${parameter}`)).map((path) => path.slice(0, -parameter.length))
    if (containers.some((container) => matches(given, container + old))) found.add(old)
  }
  return [...found]
}
