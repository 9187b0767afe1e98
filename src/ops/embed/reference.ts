/** The definition of `embed` and its gradient. */
import { defines, type Matrix } from '../op.ts'
import { embedGradOp, embedOp } from './op.ts'

/** place of token t's channel c in the weight */
function at(w: Matrix, ids: Matrix, t: number, c: number, trans: boolean): number {
  const id = ids.data[t]!
  const vocab = trans ? w.cols : w.rows
  if (!(id >= 0 && id < vocab)) throw new Error(`embed: token id ${id} at position ${t} is not in a vocabulary of ${vocab}`)
  return trans ? c * w.cols + id : id * w.cols + c
}

export const references = [
  defines(embedOp, ([ids, w], [x], { trans }) => {
    for (let t = 0; t < x!.rows; t++) {
      for (let c = 0; c < x!.cols; c++) x!.data[t * x!.cols + c] = w!.data[at(w!, ids!, t, c, trans)]!
    }
  }),
  defines(embedGradOp, ([ids, dX], [dW], { trans, padding }) => {
    for (let t = 0; t < dX!.rows; t++) {
      if (ids!.data[t] === padding) continue
      for (let c = 0; c < dX!.cols; c++) dW!.data[at(dW!, ids!, t, c, trans)]! += dX!.data[t * dX!.cols + c]!
    }
  }),
]
