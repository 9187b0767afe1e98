/** The definition of `scale`. */
import { defines } from '../op.ts'
import { scaleOp } from './op.ts'

export const references = [
  defines(scaleOp, ([x], [y], { factor }) => {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = factor * x!.data[i]!
  }),
]
