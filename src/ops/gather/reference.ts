/** The definition of `gather`, `scatter`, `weighted_scatter`, `zeros` and `advance`. */
import { defines, type Matrix } from '../op.ts'
import { advanceOp, gatherOp, scatterOp, weightedScatterOp, zerosOp } from './op.ts'

/** [row of the chunk, row of the pass] for every row of the chunk that has a head position */
function* filled(chunk: number, positions: Matrix, cursor: Matrix, headCount: Matrix): Generator<[number, number]> {
  const first = cursor.data[0]!
  for (let i = 0; i < chunk && first + i < headCount.data[0]!; i++) yield [i, positions.data[first + i]!]
}

export const references = [
  defines(gatherOp, ([h, positions, cursor, headCount], [y]) => {
    const c = y!.cols
    y!.data.fill(0)
    for (const [i, t] of filled(y!.rows, positions!, cursor!, headCount!)) y!.data.set(h!.data.subarray(t * c, (t + 1) * c), i * c)
  }),
  defines(scatterOp, ([dChunk, positions, cursor, headCount], [dH]) => {
    const c = dH!.cols
    for (const [i, t] of filled(dChunk!.rows, positions!, cursor!, headCount!))
      dH!.data.set(dChunk!.data.subarray(i * c, (i + 1) * c), t * c)
  }),
  defines(weightedScatterOp, ([d, positions, headCount, weights], [dH]) => {
    const c = dH!.cols
    dH!.data.fill(0)
    for (let i = 0; i < headCount!.data[0]!; i++)
      for (let k = 0; k < c; k++) dH!.data[positions!.data[i]! * c + k]! += (weights?.data[i] ?? 1) * d!.data[i * c + k]!
  }),
  defines(zerosOp, (_inputs, [y]) => {
    y!.data.fill(0)
  }),
  defines(advanceOp, ([from], [cursor], { by }) => {
    cursor!.data[0] = from!.data[0]! + by
  }),
]
