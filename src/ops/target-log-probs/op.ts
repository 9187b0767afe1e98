/**
 * How a chunk of positions scores its targets: for entry e at position i
 *   scores[e] = (logits[i, target[e]] − log Σ exp(logits[i]), entropy of softmax(logits[i]), 1 if target[e] is the first largest logit, else 0).
 * A position has as many entries as rows part there; weights are real. `target_log_probs_backward` gives, in the same sweep where the
 * weights are known ahead (SFT: loss = −lossScale · Σ w · logp),
 *   dlogits[i] = lossScale · Σ_e w_e · (softmax(logits[i]) − onehot(target_e)),
 * in place of the logits. Rows past `headCount` get zeros.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

/** numbers of an entry: log-probability, entropy (nats), is it the likeliest token */
export const SCORES = 3

const INPUTS = ['entryStart', 'entryTarget', 'entryWeight', 'cursor', 'headCount'] as const

export const targetLogProbsOp: Op<NoAttrs> = {
  name: 'target_log_probs',
  attrs: none,
  /** inputs: logits (chunk, V), entryStart (T + 1, 1) i32, entryTarget (T, 1) i32, entryWeight (T, 1) f32, cursor, headCount (1, 1) i32, scores (T, 3) f32 */
  outputs: ([, , , , , , scores]) => [{ rows: scores!.rows, cols: SCORES, dtype: 'f32', into: scores! }],
  flops: ({ inputs: [logits] }) => 8 * logits!.rows * logits!.cols,
}

export const targetLogProbsBackwardOp: Op<NoAttrs> = {
  name: 'target_log_probs_backward',
  attrs: none,
  /** inputs as above and lossScale (1, 1) f32; outputs: scores (into), dLogits (chunk, V) */
  outputs: ([logits, , , , , , scores]) => [
    { rows: scores!.rows, cols: SCORES, dtype: 'f32', into: scores! },
    { rows: logits!.rows, cols: logits!.cols, dtype: logits!.dtype },
  ],
  inPlace: [[1, 0]],
  flops: ({ inputs: [logits] }) => 12 * logits!.rows * logits!.cols,
}

/** scores of this chunk's entries, written into `scores` (T, 3) f32 */
export function targetLogProbs(b: Builder, logits: Tensor, scores: Tensor): void {
  b.apply(targetLogProbsOp, [logits, ...INPUTS.map((name) => b.input(name)), scores], {}, 'head')
}

/** the same, and dLogits (chunk, V) of −lossScale · Σ w · logp */
export function targetLogProbsWithGradient(b: Builder, logits: Tensor, scores: Tensor): Tensor {
  return b.apply(targetLogProbsBackwardOp, [logits, ...INPUTS.map((name) => b.input(name)), scores, b.input('lossScale')], {}, 'head')[1]!
}
