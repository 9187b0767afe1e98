/** Weight gradients: ranks, whole weights, tokens that no tile divides, columns of wider tensors. */
import type { CaseInput, OpCase } from '../op.ts'
import { weightGradOp } from './op.ts'

function gradient(
  name: string,
  tokens: number,
  n: number,
  k: number,
  rest: Partial<OpCase> & { within?: { cols: number; from: number } } = {},
): OpCase {
  const { within, ...more } = rest
  const act = (cols: number): CaseInput => ({ rows: tokens, cols, dtype: 'act' })
  return {
    name,
    op: weightGradOp,
    attrs: { alpha: 1 },
    inputs: [act(n), { ...act(k), ...(within ? { within } : {}) }, { rows: n, cols: k, dtype: 'f32', space: 'store' }],
    // sums over T products in f32, in a bf16 run too: about √T · 2⁻²⁵ of what is summed, in blocks less
    tolerance: { f32: 1e-6, bf16: 1e-6 },
    ...more,
  }
}

export const cases: readonly OpCase[] = [
  gradient('one value', 1, 1, 1),
  gradient('odd sizes', 41, 37, 29),
  gradient('rank by channels', 130, 5, 70),
  gradient('channels by rank', 67, 83, 3),
  gradient('channels by a rank of 32', 300, 150, 32),
  gradient('a rank of 16, tokens over every warp and more', 530, 16, 136),
  gradient('channels by a rank of 8', 300, 72, 8),
  gradient('the ranks of three adapters', 290, 48, 264),
  gradient('channels by a rank of 64', 140, 104, 64),
  gradient('a rank of 24, columns of a wider tensor', 150, 24, 72, { within: { cols: 104, from: 24 } }),
  gradient('a rank of 8, columns that begin where no vector does', 40, 8, 64, { within: { cols: 104, from: 4 } }),
  gradient('scaled', 20, 16, 24, { attrs: { alpha: -0.5 } }),
  gradient('columns of a wider tensor', 15, 12, 18, { within: { cols: 64, from: 21 } }),
  gradient('SmolLM2-135M lora_A', 2048, 16, 576, { bench: true }),
  gradient('SmolLM2-135M lora_B', 2048, 1536, 16, { bench: true }),
  gradient('Llama-3.1-8B lora_A of q, k and v', 4096, 48, 4096, { bench: true }),
  gradient('Llama-3.1-8B lora_B of gate_proj', 4096, 14336, 16, { bench: true }),
  gradient('SmolLM2-135M gate_proj', 2048, 1536, 576, { bench: true }),
]
