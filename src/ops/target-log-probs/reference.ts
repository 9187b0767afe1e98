/** Targets' log-probabilities and their gradient in f64. */
import type { Matrix, Reference } from '../op.ts'

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

const targetLogProbs: Reference = ([logits, entryStart, entryTarget, , cursor, headCount], [logp]) => {
  entriesOf(logits!, entryStart!, cursor!, headCount!).forEach((entries, i) => {
    const row = rowOf(logits!, i)
    for (const e of entries) logp!.data[e] = row[entryTarget!.data[e]!]! - logSumExp(row)
  })
}

const targetLogProbsBackward: Reference = (inputs, [logp, dLogits], attrs) => {
  const [logits, entryStart, entryTarget, entryWeight, cursor, headCount, , lossScale] = inputs
  targetLogProbs(inputs, [logp!], attrs)
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

export const reference: Readonly<Record<string, Reference>> = {
  target_log_probs: targetLogProbs,
  target_log_probs_backward: targetLogProbsBackward,
}
