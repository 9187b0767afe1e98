/** Which modules a LoRA configuration means: PEFT's rules for `target_modules`, `exclude_modules`, `modules_to_save` and patterns. */
import { SaqrError } from '../error.ts'

/** A list matches a path or its ending; a string is a regular expression over the whole path; 'all-linear' every linear but the head. */
export type Modules = string | readonly string[]

/** `path` named outright, by its ending, or by a regular expression that covers it whole. */
export function matches(modules: Modules, path: string): boolean {
  if (typeof modules === 'string') return fullMatch(modules, path)
  return modules.some((m) => path === m || path.endsWith(`.${m}`))
}

/** Saved modules match by a whole component of the path and cover all that lies inside. */
export function isSaved(modules: readonly string[], path: string): boolean {
  const parts = path.split('.')
  return modules.some((m) => {
    const wanted = m.split('.')
    return parts.some((_, i) => wanted.every((w, k) => parts[i + k] === w))
  })
}

/** The value of the first key that matches the end of the path, as PEFT's rank_pattern and alpha_pattern. */
export function fromPattern(pattern: Readonly<Record<string, number>>, path: string): number | undefined {
  for (const [key, value] of Object.entries(pattern)) if (fullMatch(`(.*\\.)?(${key})`, path)) return value
  return undefined
}

function fullMatch(pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path)
  } catch (cause) {
    throw new SaqrError('OPTION_MODULES', `'${pattern}' is not a regular expression for module paths: ${(cause as Error).message}`, { cause })
  }
}
