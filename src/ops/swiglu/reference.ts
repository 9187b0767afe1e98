/** The definition of `swiglu` and its backward. */
import { defines } from '../op.ts'
import { swigluBackwardOp, swigluOp } from './op.ts'

const sigmoid = (g: number) => 1 / (1 + Math.exp(-g))

export const references = [
  defines(swigluOp, ([gate, up], [h]) => {
    for (let i = 0; i < h!.data.length; i++) {
      const g = gate!.data[i]!
      h!.data[i] = g * sigmoid(g) * up!.data[i]!
    }
  }),
  defines(swigluBackwardOp, ([dH, gate, up], [dGate, dUp]) => {
    for (let i = 0; i < dH!.data.length; i++) {
      const d = dH!.data[i]!
      const g = gate!.data[i]!
      const u = up!.data[i]!
      const s = sigmoid(g)
      dGate!.data[i] = d * u * s * (1 + g * (1 - s))
      dUp!.data[i] = d * g * s
    }
  }),
]
