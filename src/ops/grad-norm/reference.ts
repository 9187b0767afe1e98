/** The definition of `grad_norm`. */
import { defines } from '../op.ts'
import { gradNormOp } from './op.ts'

export const references = [
  defines(gradNormOp, ([gradient], [norm]) => {
    let squares = 0
    for (const g of gradient!.data) squares += g * g
    norm!.data[0] = Math.sqrt(squares)
  }),
]
