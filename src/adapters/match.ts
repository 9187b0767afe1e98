/** Which modules a LoRA configuration means: PEFT's rules for `target_modules`, `exclude_modules`, `modules_to_save` and patterns. */
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

const compiled = new Map<string, RegExp>()

function fullMatch(pattern: string, path: string): boolean {
  let regex = compiled.get(pattern)
  if (!regex) {
    const { source, flags } = pythonRegex(pattern, { field: 'the modules', code: 'OPTION_MODULES' })
    compiled.set(pattern, (regex = new RegExp(`^(?:${source})$`, flags)))
  }
  return regex.test(path)
}
