/**
 * h = silu(gate) · up (Shazeer 2020), silu(g) = g · σ(g).
 *   dup = dh · silu(gate),  dgate = dh · up · σ(g) · (1 + g · (1 − σ(g)))
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const swigluOp: Op<NoAttrs> = {
  name: 'swiglu',
  attrs: none,
  outputs: ([gate]) => [{ rows: gate!.rows, cols: gate!.cols, dtype: gate!.dtype }],
  backward: (b, node, [dH]) => b.apply(swigluBackwardOp, [dH!, ...node.inputs], {}, node.name),
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  cheap: true,
  flops: ({ outputs: [h] }) => 8 * h!.rows * h!.cols,
}

export const swigluBackwardOp: Op<NoAttrs> = {
  name: 'swiglu_backward',
  attrs: none,
  /** inputs: dH, gate, up (T, F); outputs: dGate, dUp (T, F) */
  outputs: ([dH]) => [0, 1].map(() => ({ rows: dH!.rows, cols: dH!.cols, dtype: dH!.dtype })),
  inPlace: [
    [0, 1],
    [0, 0],
    [1, 2],
    [1, 0],
  ],
  flops: ({ outputs: [d] }) => 14 * d!.rows * d!.cols,
}

export function swiglu(b: Builder, gate: Tensor, up: Tensor, name?: string): Tensor {
  return b.apply(swigluOp, [gate, up], {}, name)[0]!
}
