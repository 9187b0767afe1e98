/**
 * What a position's logits say whatever its targets are: for row i of a chunk, at head position cursor + i of the pass,
 *   stats[cursor + i] = (mean of logits[i], log Σ softmax(logits[i])²).
 * The mean is what preference trainers log; the second is WPO's expected log-probability of the model's own tokens. Rows past `headCount` write nothing.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

/** numbers of a position */
export const STATS = 2

export const logitStatsOp: Op<NoAttrs> = {
  name: 'logit_stats',
  attrs: none,
  /** inputs: logits (chunk, V), cursor, headCount (1, 1) i32, stats (T, 2) f32 */
  outputs: ([, , , stats]) => [{ rows: stats!.rows, cols: STATS, dtype: 'f32', into: stats! }],
  flops: ({ inputs: [logits] }) => 8 * logits!.rows * logits!.cols,
}

/** those of this chunk's positions, written into `stats` (T, 2) f32 */
export function logitStats(b: Builder, logits: Tensor, stats: Tensor): void {
  b.apply(logitStatsOp, [logits, b.input('cursor'), b.input('headCount'), stats], {}, 'head')
}
