import { type CudaTensor, ceilDiv, kernel, runs, source, typeOf } from '../cuda-launch.ts'
import { columnSumOp } from './op.ts'

const from = source(import.meta.url)

/** how a sum over `rows` is cut: a function of the shape alone, so that the bits are too */
export function chunksOf(rows: number): { count: number; size: number } {
  const size = Math.max(16, ceilDiv(rows, 256))
  return { count: ceilDiv(rows, size), size }
}

/** d (1, C) += the chunks' sums (count, C) in scratch */
export function addChunks(scratch: bigint, count: number, d: CudaTensor) {
  return kernel(from, 'add_chunks', [ceilDiv(d.cols, 128)], 128, [count, d.cols, scratch, d.at])
}

export const cuda = [
  runs(columnSumOp, {
    scratch: ({ inputs: [dY] }) => chunksOf(dY!.rows).count * dY!.cols * 4,
    launch(step, scratch) {
      const [dY] = step.inputs
      const { count, size } = chunksOf(dY!.rows)
      const args = [dY!.rows, dY!.cols, dY!.at, dY!.stride, scratch, size]
      return [
        kernel(from, `column_sum_${typeOf(step, dY!)}`, [count, ceilDiv(dY!.cols, 128)], 128, args),
        addChunks(scratch, count, step.outputs[0]!),
      ]
    },
  }),
]
