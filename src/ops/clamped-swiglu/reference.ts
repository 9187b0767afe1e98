/** The definition of `clamped_swiglu` and its backward. */
import { defines } from '../op.ts'
import { type ClampedAttrs, clampedSwigluBackwardOp, clampedSwigluOp } from './op.ts'

/** g', u' and σ(alpha · g') of pair i */
function pair(both: Float64Array, i: number, { alpha, limit }: ClampedAttrs) {
  const [g, u] = [both[2 * i]!, both[2 * i + 1]!]
  const gate = Math.min(g, limit)
  const up = Math.min(Math.max(u, -limit), limit)
  return { gate, up, s: 1 / (1 + Math.exp(-alpha * gate)), flows: { gate: g <= limit, up: u >= -limit && u <= limit } }
}

export const references = [
  defines(clampedSwigluOp, ([both], [h], attrs) => {
    for (let i = 0; i < h!.data.length; i++) {
      const { gate, up, s } = pair(both!.data, i, attrs)
      h!.data[i] = (up + 1) * gate * s
    }
  }),
  defines(clampedSwigluBackwardOp, ([dH, both], [dBoth], attrs) => {
    for (let i = 0; i < dH!.data.length; i++) {
      const { gate, up, s, flows } = pair(both!.data, i, attrs)
      const d = dH!.data[i]!
      dBoth!.data[2 * i] = flows.gate ? d * (up + 1) * s * (1 + attrs.alpha * gate * (1 - s)) : 0
      dBoth!.data[2 * i + 1] = flows.up ? d * gate * s : 0
    }
  }),
]
