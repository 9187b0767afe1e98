/** The definition of tokens' own rows and columns, and of the gradient of the rows. */
import { defines } from '../op.ts'
import { columnsOfTokensOp, tokenColumnsOp, tokenRowsGradOp, tokenRowsOp } from './op.ts'

export const references = [
  defines(tokenRowsOp, ([x, ids, tokens, rows], [y]) => {
    const { cols } = y!
    y!.data.set(x!.data)
    for (const [t, id] of ids!.data.entries()) {
      const i = tokens!.data.indexOf(id)
      if (i >= 0) for (let c = 0; c < cols; c++) y!.data[t * cols + c] = rows ? rows.data[i * cols + c]! : 0
    }
  }),
  defines(tokenRowsGradOp, ([ids, tokens, dX], [dRows], { padding }) => {
    const { cols } = dRows!
    for (const [t, id] of ids!.data.entries()) {
      const i = id === padding ? -1 : tokens!.data.indexOf(id)
      if (i >= 0) for (let c = 0; c < cols; c++) dRows!.data[i * cols + c]! += dX!.data[t * cols + c]!
    }
  }),
  defines(tokenColumnsOp, ([y, tokens, z], [out]) => {
    out!.data.set(y!.data)
    for (let m = 0; m < out!.rows; m++)
      for (const [i, token] of tokens!.data.entries()) out!.data[m * out!.cols + token] = z ? z.data[m * z.cols + i]! : 0
  }),
  defines(columnsOfTokensOp, ([y, tokens], [z]) => {
    for (let m = 0; m < z!.rows; m++)
      for (const [i, token] of tokens!.data.entries()) z!.data[m * z!.cols + i] = y!.data[m * y!.cols + token]!
  }),
]
