/**
 * h = silu(gate) · up (Shazeer 2020), silu(g) = g · σ(g).
 *   dup = dh · silu(gate),  dgate = dh · up · σ(g) · (1 + g · (1 − σ(g)))
 */
import { gated } from '../gated.ts'
import type { Builder, Tensor } from '../op.ts'

export const { forward: swigluOp, backward: swigluBackwardOp } = gated('swiglu', { forward: 8, backward: 14 })

export function swiglu(b: Builder, gate: Tensor, up: Tensor, name?: string): Tensor {
  return b.apply(swigluOp, [gate, up], {}, name)[0]!
}
