/** Arguments of built-in functions by position or name, with Python's errors for those that don't fit. */
import { type CallArgs, fail, type Value } from './values.ts'

/** `names` in order; a name with `?` may be left out. @throws TemplateError */
export function take<const N extends readonly string[]>(args: CallArgs, of: string, ...names: N): { [I in keyof N]: Value | undefined } {
  const plain = names.map((name) => name.replace('?', ''))
  if (args.positional.length > names.length) fail(`${of} takes ${names.length} arguments, it is given ${args.positional.length}`)
  for (const name of args.named.keys()) if (!plain.includes(name)) fail(`${of} has no argument ${name}`)
  return names.map((name, i) => {
    const named = args.named.get(plain[i]!)
    if (i < args.positional.length && named !== undefined) return fail(`${of} is given ${plain[i]} twice`)
    const value = i < args.positional.length ? args.positional[i] : named
    return value === undefined && !name.endsWith('?') ? fail(`${of} needs ${plain[i]}`) : value
  }) as { [I in keyof N]: Value | undefined }
}
