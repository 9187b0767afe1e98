/** Targets' log-probabilities, entropies and gradient in f64. */
import { defines, type Matrix, type Reference } from '../op.ts'
import { SCORES, targetLogProbsBackwardOp, targetLogProbsOp } from './op.ts'

/** [entry …] of each row of the chunk; rows past headCount have none */
function entriesOf(logits: Matrix, entryStart: Matrix, cursor: Matrix, headCount: Matrix): number[][] {
  return Array.from({ length: logits.rows }, (_, i) => {
    const position = cursor.data[0]! + i
    if (position >= headCount.data[0]!) return []
    const from = entryStart.data[position]!
    return Array.from({ length: entryStart.data[position + 1]! - from }, (_, e) => from + e)
  })
}

function logSumExp(row: Float64Array): number {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity)
  return top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0))
}

const rowOf = (x: Matrix, i: number) => x.data.subarray(i * x.cols, (i + 1) * x.cols)

const targetLogProbs: Reference<typeof targetLogProbsOp.attrs> = ([logits, entryStart, entryTarget, , cursor, headCount], [scores]) => {
  entriesOf(logits!, entryStart!, cursor!, headCount!).forEach((entries, i) => {
    const row = rowOf(logits!, i)
    const lse = logSumExp(row)
    const entropy = row.reduce((sum, x) => (x === -Infinity ? sum : sum + Math.exp(x - lse) * (lse - x)), 0)
    const likeliest = row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity))
    for (const e of entries) {
      const target = entryTarget!.data[e]!
      scores!.data.set([row[target]! - lse, entropy, target === likeliest ? 1 : 0], SCORES * e)
    }
  })
}

const targetLogProbsBackward: Reference<typeof targetLogProbsBackwardOp.attrs> = (inputs, [scores, dLogits], attrs) => {
  const [logits, entryStart, entryTarget, entryWeight, cursor, headCount, , lossScale] = inputs
  targetLogProbs(inputs, [scores!], attrs)
  entriesOf(logits!, entryStart!, cursor!, headCount!).forEach((entries, i) => {
    const row = rowOf(logits!, i)
    const d = rowOf(dLogits!, i)
    const lse = logSumExp(row)
    const weight = entries.reduce((sum, e) => sum + entryWeight!.data[e]!, 0)
    row.forEach((x, c) => {
      d[c] = lossScale!.data[0]! * weight * Math.exp(x - lse)
    })
    for (const e of entries) d[entryTarget!.data[e]!]! -= lossScale!.data[0]! * entryWeight!.data[e]!
    if (entries.length === 0) d.fill(0)
  })
}

export const references = [defines(targetLogProbsOp, targetLogProbs), defines(targetLogProbsBackwardOp, targetLogProbsBackward)]
