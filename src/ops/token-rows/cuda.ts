import { attrsOf, bytesOf, ceilDiv, kernel, type Launch, runs, source, typeOf } from '../cuda-launch.ts'
import { columnsOfTokensOp, tokenColumnsOp, tokenRowsGradOp, tokenRowsOp } from './op.ts'

const from = source(import.meta.url)

export const cuda = [
  runs(tokenRowsOp, {
    launch(step) {
      const [x, ids, tokens, rows] = step.inputs
      const [y] = step.outputs
      const given = [x!.at, x!.stride, ids!.at, ids!.stride, tokens!.at, rows?.at ?? 0n, rows?.stride ?? 0]
      const args = [y!.cols, tokens!.cols, ...given, y!.at, y!.stride]
      return [kernel(from, `token_rows_${typeOf(step, x!, y!)}`, [y!.rows, ceilDiv(y!.cols, 256)], 256, args)]
    },
  }),
  runs(tokenRowsGradOp, {
    launch(step) {
      const [ids, tokens, dX] = step.inputs
      const [dRows] = step.outputs
      const args = [dX!.rows, dX!.cols, ids!.at, ids!.stride, tokens!.at, dX!.at, dX!.stride, dRows!.at, dRows!.stride, ...attrsOf(step)]
      return [kernel(from, `token_rows_grad_${typeOf(step, dX!)}`, [dRows!.rows, ceilDiv(dX!.cols, 256)], 256, args)]
    },
  }),
  runs(tokenColumnsOp, {
    launch(step) {
      const [y, tokens, z] = step.inputs
      const [out] = step.outputs
      const type = typeOf(step, y!, out!, z!)
      const size = bytesOf(y!.dtype)
      const pitch = { from: y!.stride * size, to: out!.stride * size }
      const whole: Launch[] =
        y!.at === out!.at ? [] : [{ kind: 'copy', from: y!.at, to: out!.at, rows: y!.rows, bytes: y!.cols * size, pitch }]
      const args = [tokens!.cols, tokens!.at, z?.at ?? 0n, z?.stride ?? 0, out!.at, out!.stride]
      return [...whole, kernel(from, `token_columns_${type}`, [out!.rows, ceilDiv(tokens!.cols, 256)], 256, args)]
    },
  }),
  runs(columnsOfTokensOp, {
    launch(step) {
      const [y, tokens] = step.inputs
      const [z] = step.outputs
      const args = [tokens!.cols, y!.at, y!.stride, tokens!.at, z!.at, z!.stride]
      return [kernel(from, `columns_of_tokens_${typeOf(step, y!, z!)}`, [z!.rows, ceilDiv(tokens!.cols, 256)], 256, args)]
    },
  }),
]
