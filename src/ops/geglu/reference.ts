/** The definition of `geglu` and its backward. */
import { defines } from '../op.ts'
import { gegluBackwardOp, gegluOp } from './op.ts'

const K = Math.sqrt(2 / Math.PI)
const CUBIC = 0.044715
const tanhOf = (g: number) => Math.tanh(K * (g + CUBIC * g ** 3))

export const references = [
  defines(gegluOp, ([gate, up], [h]) => {
    for (let i = 0; i < h!.data.length; i++) {
      const g = gate!.data[i]!
      h!.data[i] = 0.5 * g * (1 + tanhOf(g)) * up!.data[i]!
    }
  }),
  defines(gegluBackwardOp, ([dH, gate, up], [dGate, dUp]) => {
    for (let i = 0; i < dH!.data.length; i++) {
      const d = dH!.data[i]!
      const g = gate!.data[i]!
      const t = tanhOf(g)
      const slope = 0.5 * (1 + t) + 0.5 * g * (1 - t * t) * K * (1 + 3 * CUBIC * g * g)
      dGate!.data[i] = d * up!.data[i]! * slope
      dUp!.data[i] = d * 0.5 * g * (1 + t)
    }
  }),
]
