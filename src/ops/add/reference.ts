/** The definition of `add`. */
import { defines } from '../op.ts'
import { addOp } from './op.ts'

export const references = [
  defines(addOp, ([a, c], [y]) => {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = a!.data[i]! + c!.data[i]!
  }),
]
