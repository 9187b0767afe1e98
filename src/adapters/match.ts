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
