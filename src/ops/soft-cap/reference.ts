/** The definition of `soft_cap` and its backward. */
import { defines } from '../op.ts'
import { softCapBackwardOp, softCapOp } from './op.ts'

export const references = [
  defines(softCapOp, ([x], [y], { cap }) => {
    for (let i = 0; i < y!.data.length; i++) y!.data[i] = cap * Math.tanh(x!.data[i]! / cap)
  }),
  defines(softCapBackwardOp, ([dY, y], [d], { cap }) => {
    for (let i = 0; i < d!.data.length; i++) d!.data[i] = dY!.data[i]! * (1 - (y!.data[i]! / cap) ** 2)
  }),
]
