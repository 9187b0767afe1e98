/**
 * h = gelu(gate) · up (Shazeer 2020) with the tanh form of GELU (Hendrycks & Gimpel 2016), as Gemma has it:
 *   gelu(g) = ½ · g · (1 + tanh u) = g · σ(2u),  u = √(2/π) · (g + 0.044715 · g³)
 *   dup = dh · gelu(gate),  dgate = dh · up · (s + g · s · (1 − s) · 2u'),  s = σ(2u)
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const gegluOp: Op<NoAttrs> = {
  name: 'geglu',
  attrs: none,
  outputs: ([gate]) => [{ rows: gate!.rows, cols: gate!.cols, dtype: gate!.dtype }],
  backward: (b, node, [dH]) => b.apply(gegluBackwardOp, [dH!, ...node.inputs], {}, node.name),
  inPlace: [
    [0, 0],
    [0, 1],
  ],
  cheap: true,
  flops: ({ outputs: [h] }) => 14 * h!.rows * h!.cols,
}

export const gegluBackwardOp: Op<NoAttrs> = {
  name: 'geglu_backward',
  attrs: none,
  /** inputs: dH, gate, up (T, F); outputs: dGate, dUp (T, F) */
  outputs: ([dH]) => [0, 1].map(() => ({ rows: dH!.rows, cols: dH!.cols, dtype: dH!.dtype })),
  inPlace: [
    [0, 1],
    [0, 0],
    [1, 2],
    [1, 0],
  ],
  flops: ({ outputs: [d] }) => 24 * d!.rows * d!.cols,
}

export function geglu(b: Builder, gate: Tensor, up: Tensor, name?: string): Tensor {
  return b.apply(gegluOp, [gate, up], {}, name)[0]!
}
