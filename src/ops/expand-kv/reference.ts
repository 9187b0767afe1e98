/** Keys and values out of a latent's product, in f64. */
import { defines, type Reference } from '../op.ts'
import { expandKvBackwardOp, expandKvOp } from './op.ts'

const expandKv: Reference<typeof expandKvOp.attrs> = ([kv, shared], [k, v], { own, valueDim }) => {
  const [heads, width] = [v!.cols / valueDim, own + shared!.cols]
  for (let t = 0; t < kv!.rows; t++) {
    const rotated = shared!.data.subarray(t * shared!.cols, (t + 1) * shared!.cols)
    for (let h = 0; h < heads; h++) {
      const from = t * kv!.cols + h * (own + valueDim)
      k!.data.set(kv!.data.subarray(from, from + own), t * k!.cols + h * width)
      k!.data.set(rotated, t * k!.cols + h * width + own)
      v!.data.set(kv!.data.subarray(from + own, from + own + valueDim), t * v!.cols + h * valueDim)
    }
  }
}

const expandKvBackward: Reference<typeof expandKvBackwardOp.attrs> = ([dK, dV], [dKv, dShared], { own, valueDim }) => {
  const [heads, width] = [dV!.cols / valueDim, own + dShared!.cols]
  dShared!.data.fill(0)
  for (let t = 0; t < dK!.rows; t++) {
    for (let h = 0; h < heads; h++) {
      const [from, to] = [t * dK!.cols + h * width, t * dKv!.cols + h * (own + valueDim)]
      dKv!.data.set(dK!.data.subarray(from, from + own), to)
      dKv!.data.set(dV!.data.subarray(t * dV!.cols + h * valueDim, t * dV!.cols + (h + 1) * valueDim), to + own)
      for (let c = 0; c < dShared!.cols; c++) dShared!.data[t * dShared!.cols + c]! += dK!.data[from + own + c]!
    }
  }
}

export const references = [defines(expandKvOp, expandKv), defines(expandKvBackwardOp, expandKvBackward)]
