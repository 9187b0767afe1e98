import { attrsOf, type CudaStep, ceilDiv, kernel, type Launch, runs, source } from '../cuda-launch.ts'
import { adafactorOp } from './op.ts'

const from = source(import.meta.url)

/** blocks that share the update's size, and rows of a share of a column's sum, on every card: the order of a sum must not depend on the card */
const SHARES = 1024
const ROWS = 256

function sizes({ attrs: { matrices, rows }, inputs: [p] }: CudaStep<(typeof adafactorOp)['attrs']>) {
  const cols = rows === 0 ? p!.cols : p!.cols / (matrices * rows)
  const shares = Math.min(64, ceilDiv(Math.max(rows, 1), ROWS))
  return { matrices, rows, cols, shares, columns: rows === 0 ? 0 : matrices * shares * cols * 8 }
}

export const cuda = [
  runs(adafactorOp, {
    /** sums of columns, squares of the update, means of rows */
    scratch: (step) => sizes(step).columns + SHARES * 8 + sizes(step).matrices * 4,
    launch(step, scratch) {
      const { matrices, rows, cols, shares, columns } = sizes(step)
      const squares = scratch + BigInt(columns)
      const means = squares + BigInt(SHARES * 8)
      const tensors = [...step.inputs.map((t) => t!.at), rows, matrices * rows, cols, matrices]
      const across = ceilDiv(cols, 128)
      const moments: Launch[] =
        rows === 0
          ? [kernel(from, 'adafactor_vector', [Math.min(ceilDiv(cols, 256), 8192)], 256, tensors)]
          : [
              kernel(from, 'adafactor_rows', [Math.min(matrices * rows, 65_535)], 256, tensors),
              kernel(from, 'adafactor_columns', [across, shares, matrices], 128, [...tensors, scratch, shares]),
              kernel(from, 'adafactor_means', [across + 1, matrices], 128, [...tensors, scratch, shares, means]),
            ]
      return [
        ...moments,
        kernel(from, 'adafactor_size', [SHARES], 256, [...tensors, means, squares]),
        kernel(from, 'adafactor_move', [SHARES], 256, [...tensors, means, squares, SHARES, ...attrsOf(step)]),
      ]
    },
  }),
]
