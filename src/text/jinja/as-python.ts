/** How Python writes a row's value: what a template prints that takes a list or an object for a text. */
import { toValue } from './convert.ts'
import { repr } from './text.ts'

export const asPython = (value: unknown): string => repr(toValue(value))
