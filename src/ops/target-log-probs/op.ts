/**
 * Log-probabilities of the targets of a chunk of positions: for entry e at position i, logp[e] = logits[i, target[e]] − log Σ exp(logits[i]).
 * A position has as many entries as rows part there; weights are real. `target_log_probs_backward` gives, in the same sweep where the
 * weights are known ahead (SFT: loss = −lossScale · Σ w · logp),
 *   dlogits[i] = lossScale · Σ_e w_e · (softmax(logits[i]) − onehot(target_e)),
 * in place of the logits. Rows past `headCount` get zeros.
 */
import type { Builder, Op, Tensor } from '../op.ts'

const INPUTS = ['entryStart', 'entryTarget', 'entryWeight', 'cursor', 'headCount'] as const

export const targetLogProbsOp: Op = {
  name: 'target_log_probs',
  attrs: [],
  /** inputs: logits (chunk, V), entryStart (T + 1, 1) i32, entryTarget (T, 1) i32, entryWeight (T, 1) f32, cursor, headCount (1, 1) i32, logp (T, 1) f32 */
  outputs: ([, , , , , , logp]) => [{ rows: logp!.rows, cols: 1, dtype: 'f32', into: logp! }],
  flops: ({ inputs: [logits] }) => 6 * logits!.rows * logits!.cols,
}

export const targetLogProbsBackwardOp: Op = {
  name: 'target_log_probs_backward',
  attrs: [],
  /** inputs as above and lossScale (1, 1) f32; outputs: logp (into), dLogits (chunk, V) */
  outputs: ([logits, , , , , , logp]) => [
    { rows: logp!.rows, cols: 1, dtype: 'f32', into: logp! },
    { rows: logits!.rows, cols: logits!.cols, dtype: logits!.dtype },
  ],
  inPlace: [[1, 0]],
  flops: ({ inputs: [logits] }) => 10 * logits!.rows * logits!.cols,
}

/** logp of this chunk's entries, written into `logp` (T, 1) f32 */
export function targetLogProbs(b: Builder, logits: Tensor, logp: Tensor): void {
  b.apply(targetLogProbsOp, [logits, ...INPUTS.map((name) => b.input(name)), logp], {}, 'head')
}

/** the same, and dLogits (chunk, V) of −lossScale · Σ w · logp */
export function targetLogProbsWithGradient(b: Builder, logits: Tensor, logp: Tensor): Tensor {
  return b.apply(targetLogProbsBackwardOp, [logits, ...INPUTS.map((name) => b.input(name)), logp, b.input('lossScale')], {}, 'head')[1]!
}
