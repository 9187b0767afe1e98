/**
 * h = gelu(gate) · up (Shazeer 2020) with the tanh form of GELU (Hendrycks & Gimpel 2016), as Gemma has it:
 *   gelu(g) = ½ · g · (1 + tanh u) = g · σ(2u),  u = √(2/π) · (g + 0.044715 · g³)
 *   dup = dh · gelu(gate),  dgate = dh · up · (s + g · s · (1 − s) · 2u'),  s = σ(2u)
 */
import { gated } from '../gated.ts'
import type { Builder, Tensor } from '../op.ts'

export const { forward: gegluOp, backward: gegluBackwardOp } = gated('geglu', { forward: 14, backward: 24 })

export function geglu(b: Builder, gate: Tensor, up: Tensor, name?: string): Tensor {
  return b.apply(gegluOp, [gate, up], {}, name)[0]!
}
