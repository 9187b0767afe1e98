/** The definition of both copies: the values themselves. */
import { defines } from '../op.ts'
import { fromHostOp, toHostOp } from './op.ts'

export const references = [toHostOp, fromHostOp].map((op) => defines(op, ([x], [y]) => y!.data.set(x!.data)))
