/** Schemas that several options share. */
import { z } from 'zod'

/** `float | None` and the like: null is Python's None. */
export const text = z.string()
export const optionalText = z.string().nullable()
export const flag = z.boolean()
export const optionalFlag = z.boolean().nullable()
export const count = z.int().min(1)
export const optionalCount = z.int().min(1).nullable()
export const texts = z.array(z.string())
export const optionalTexts = z.array(z.string()).nullable()
/** a mapping, or the path of a JSON file with one */
export const mapping = z
  .union([z.record(z.string(), z.unknown()), z.string()])
  .describe('a mapping, or the path of a JSON file with one')
  .nullable()

/** A schema with a rule of its own; `what` completes "expected …". */
export function described<S extends z.ZodType>(schema: S, what: string, holds: (value: z.output<S>) => boolean): S {
  return schema.refine(holds).describe(what)
}

/** a file, a folder or what has an id: an empty text (a variable that is not set) names none */
export const name = described(z.string(), 'a text that is not empty', (value) => value.trim() !== '')
export const optionalName = name.nullable()

/** `every 10 steps` or, below 1, a share of all steps */
export const stepInterval = described(
  z.number().min(0),
  'a whole number of steps (below 1: a share of all steps)',
  (n) => n < 1 || Number.isInteger(n),
)

/** Bytes of a size: 8GB is 8·10⁹, 512MiB is 512·2²⁰, a plain number is bytes. Undefined where it is no size. */
export function sizeInBytes(size: string | number): number | undefined {
  if (typeof size === 'number') return size > 0 ? Math.floor(size) : undefined
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(size.trim())
  if (!match) return undefined
  const power = ' kmgt'.indexOf(match[2]!.toLowerCase() || ' ')
  const bytes = Number(match[1]) * (match[3] ? 1024 : 1000) ** power
  return bytes > 0 ? Math.floor(bytes) : undefined
}

/** The unit in which a size is said: GB, MiB …; of a plain number MiB. */
export function unitOf(size: string | number): string {
  const [, prefix = '', binary = ''] = (typeof size === 'string' && /^[\d.\s]+([kmgt])(i?)b?\s*$/i.exec(size)) || []
  return prefix === '' ? 'MiB' : `${prefix.toUpperCase()}${binary.toLowerCase()}B`
}

export const size = described(
  z.union([z.string(), z.number()]),
  'a size such as 8GB (10⁹ bytes each), 512MiB (2²⁰) or a number of bytes',
  (value) => sizeInBytes(value) !== undefined,
)
