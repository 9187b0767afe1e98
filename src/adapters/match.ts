/** Which modules a LoRA configuration means: PEFT's rules for `target_modules`, `exclude_modules`, `modules_to_save` and patterns. */
import type { AdapterConfig } from '../formats/peft/config.ts'
import { pythonRegex } from '../formats/peft/python-regex.ts'

/** A list matches a path or its ending; a string is a regular expression (Python's) over the whole path; 'all-linear' every linear but the head. */
export type Modules = string | readonly string[]

/** `path` named outright, by its ending, or by a regular expression that covers it whole. */
export function matches(modules: Modules, path: string): boolean {
  if (typeof modules === 'string') return fullMatch(modules, path)
  return modules.some((m) => path === m || path.endsWith(`.${m}`))
}

export const isAllLinear = (modules: Modules): boolean => typeof modules === 'string' && modules.toLowerCase() === 'all-linear'

/** PEFT's check_target_module_exists, of a module that isn't trained whole; `head` is what all-linear leaves out */
export function isNamed(config: AdapterConfig, path: string, { role, head }: { role: 'linear' | 'embedding'; head: string }): boolean {
  const { targetModules, excludeModules } = config
  if (excludeModules?.length && matches(excludeModules, path)) return false
  if (isAllLinear(targetModules)) return role === 'linear' && path !== head && isInLayers(config, path)
  // an expression, and a name that is the whole path, hold whatever the layers
  if (typeof targetModules === 'string' || targetModules.includes(path)) return matches(targetModules, path)
  return matches(targetModules, path) && isInLayers(config, path)
}

/** in the blocks that layers_to_transform names; layers_pattern says which list of blocks is meant */
function isInLayers({ layersToTransform, layersPattern }: AdapterConfig, path: string): boolean {
  const wanted = typeof layersToTransform === 'number' ? [layersToTransform] : (layersToTransform ?? [])
  if (!wanted.length) return true
  const patterns = typeof layersPattern === 'string' ? [layersPattern] : (layersPattern ?? [])
  const use = { field: 'layers_pattern', code: 'OPTION_MODULES', inside: true } as const
  const lists = patterns.length ? patterns.map((p) => `(?:^|.*?\\.)${pythonRegex(p, use).source}`) : ['.*?\\.[^.]*']
  const match = lists.map((list) => new RegExp(`^(?:${list}\\.(?<index>\\d+)\\.)`).exec(path)).find((m) => m !== null)
  const index = match?.groups?.index
  return index !== undefined && wanted.includes(Number(index))
}

/** A module whose path ends like one of these (PEFT compares plain endings: 'norm' is also input_layernorm) is trained whole, with all inside. */
export function isSaved(modules: readonly string[], path: string): boolean {
  const parts = path.split('.')
  return parts.some((_, i) => {
    const module = parts.slice(0, i + 1).join('.')
    return modules.some((m) => module.endsWith(m))
  })
}

type Targets = Pick<AdapterConfig, 'targetParameters'>

/** PEFT's check for target_parameters: a tensor of the model, by the end of its name */
export function isParameter({ targetParameters }: Targets, name: string): boolean {
  return targetParameters?.some((target) => name === target || name.endsWith(`.${target}`)) ?? false
}

/**
 * Where PEFT keeps the low-rank part of experts: it wraps the module once for each tensor, in the order they stand there, and the one wrapped
 * last lies outermost. So of two, gate_up_proj's is the inner one.
 */
export function expertsPath(targets: Targets, name: string): string {
  const module = name.replace(/\.[^.]+$/, '')
  const inner = name.endsWith('.gate_up_proj') && isParameter(targets, `${module}.down_proj`)
  return inner ? `${module}.base_layer` : module
}

const compiled = new Map<string, RegExp>()

function fullMatch(pattern: string, path: string): boolean {
  let regex = compiled.get(pattern)
  if (!regex) {
    const { source, flags } = pythonRegex(pattern, { field: 'the modules', code: 'OPTION_MODULES' })
    compiled.set(pattern, (regex = new RegExp(`^(?:${source})$`, flags)))
  }
  return regex.test(path)
}
