/** The definition of `rms_norm`, `add_rms_norm` and their backward. */
import { type Attrs, defines, type Matrix } from '../op.ts'
import { addRmsNormOp, rmsNormBackwardOp, rmsNormOp, rmsNormWeightGradOp } from './op.ts'

/** y = x · r · w for every group of channels; r = 1 / sqrt(mean(x²) + eps) */
function normalise(x: Matrix, w: Matrix, y: Matrix, rstd: Matrix, { eps, plusOne, group }: Attrs<typeof rmsNormOp.attrs>): void {
  for (let k = 0; k < rstd.data.length; k++) {
    const at = k * group
    let squares = 0
    for (let c = 0; c < group; c++) squares += x.data[at + c]! ** 2
    const r = 1 / Math.sqrt(squares / group + eps)
    rstd.data[k] = r
    for (let c = 0; c < group; c++) y.data[at + c] = x.data[at + c]! * r * (w.data[c]! + Number(plusOne))
  }
}

export const references = [
  defines(rmsNormOp, ([x, w], [y, rstd], attrs) => {
    normalise(x!, w!, y!, rstd!, attrs)
  }),
  defines(addRmsNormOp, ([x, delta, w], [h, y, rstd], attrs) => {
    for (let i = 0; i < h!.data.length; i++) h!.data[i] = x!.data[i]! + delta!.data[i]!
    normalise(h!, w!, y!, rstd!, attrs)
  }),
  defines(rmsNormBackwardOp, ([dY, x, w, rstd, dResidual], [d], { plusOne, group }) => {
    for (let k = 0; k < rstd!.data.length; k++) {
      const at = k * group
      const r = rstd!.data[k]!
      let mean = 0 // of g · x̂
      for (let c = 0; c < group; c++) mean += dY!.data[at + c]! * (w!.data[c]! + Number(plusOne)) * x!.data[at + c]! * r
      mean /= group
      for (let c = 0; c < group; c++) {
        const g = dY!.data[at + c]! * (w!.data[c]! + Number(plusOne))
        d!.data[at + c] = r * (g - x!.data[at + c]! * r * mean) + (dResidual?.data[at + c] ?? 0)
      }
    }
  }),
  defines(rmsNormWeightGradOp, ([dY, x, rstd], [dW], { group }) => {
    for (let i = 0; i < dY!.data.length; i++) dW!.data[i % group]! += dY!.data[i]! * x!.data[i]! * rstd!.data[Math.floor(i / group)]!
  }),
]
