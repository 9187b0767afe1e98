/** Means of logits and log Σ p² in f64. */
import { defines } from '../op.ts'
import { logitStatsOp, STATS } from './op.ts'

export const references = [
  defines(logitStatsOp, ([logits, cursor, headCount], [stats]) => {
    const { rows, cols, data } = logits!
    for (let i = 0; i < rows && cursor!.data[0]! + i < headCount!.data[0]!; i++) {
      const row = data.subarray(i * cols, (i + 1) * cols)
      const top = row.reduce((a, b) => Math.max(a, b), -Infinity)
      const sum = (power: number) => row.reduce((total, x) => total + Math.exp(power * (x - top)), 0)
      const mean = row.reduce((total, x) => total + x, 0) / cols
      stats!.data.set([mean, Math.log(sum(2)) - 2 * Math.log(sum(1))], STATS * (cursor!.data[0]! + i))
    }
  }),
]
