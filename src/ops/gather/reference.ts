/** The definition of `gather`, `scatter`, `zeros` and `advance`. */
import type { Matrix, Reference } from '../op.ts'

/** [row of the chunk, row of the pass] for every row of the chunk that has a head position */
function* filled(chunk: number, positions: Matrix, cursor: Matrix, headCount: Matrix): Generator<[number, number]> {
  const first = cursor.data[0]!
  for (let i = 0; i < chunk && first + i < headCount.data[0]!; i++) yield [i, positions.data[first + i]!]
}

export const reference: Readonly<Record<string, Reference>> = {
  gather([h, positions, cursor, headCount], [y]) {
    const c = y!.cols
    y!.data.fill(0)
    for (const [i, t] of filled(y!.rows, positions!, cursor!, headCount!)) y!.data.set(h!.data.subarray(t * c, (t + 1) * c), i * c)
  },
  scatter([dChunk, positions, cursor, headCount], [dH]) {
    const c = dH!.cols
    for (const [i, t] of filled(dChunk!.rows, positions!, cursor!, headCount!))
      dH!.data.set(dChunk!.data.subarray(i * c, (i + 1) * c), t * c)
  },
  zeros(_inputs, [y]) {
    y!.data.fill(0)
  },
  advance([from], [cursor], { by }) {
    cursor!.data[0] = from!.data[0]! + by!
  },
}
