/** Norms of flat gradients: shorter than a vector, than the chunks, not a multiple of anything. */
import type { OpCase } from '../op.ts'
import { gradNormOp } from './op.ts'

function norm(name: string, n: number, rest: Partial<OpCase> = {}, scale = 1): OpCase {
  return {
    name,
    op: gradNormOp,
    attrs: {},
    inputs: [{ rows: 1, cols: n, dtype: 'f32', space: 'store', scale }],
    // summed in f64: the result is rounded once, 2⁻²⁴
    tolerance: { f32: 6e-8, bf16: 6e-8 },
    ...rest,
  }
}

export const cases: readonly OpCase[] = [
  norm('one value', 1),
  norm('a few', 100),
  norm('odd size', 40_961),
  // squares that f32 would lose
  norm('tiny', 5_000, {}, 1e-25),
  norm('SmolLM2-135M, LoRA r 16', 4_884_480, { bench: true }),
]
