/** What everything above the ops speaks of: a matrix, its type, its place. */

/** GGUF's blocks, as a file has them: weights that the CPU's kernels read where they lie */
export const BLOCKS = ['q4_0', 'q4_1', 'q5_0', 'q5_1', 'q8_0', 'q4_k', 'q5_k', 'q6_k'] as const
export type Blocks = (typeof BLOCKS)[number]

/** f32 and bf16 are values; i32 indices; nf4 a 4-bit base weight (with its quantisation state beside it in the store). */
export type DType = 'f32' | 'bf16' | 'f16' | 'i32' | 'u8' | 'nf4' | Blocks

/** In the order of native/saqr.hpp: a dtype's number there. */
export const DTYPES: readonly DType[] = ['f32', 'bf16', 'f16', 'i32', 'u8', 'nf4', ...BLOCKS]

/** bytes of an element; of rows of blocks that is exact too */
export const BYTES: Readonly<Record<DType, number>> = {
  ...{ f32: 4, i32: 4, bf16: 2, f16: 2, u8: 1, nf4: 0.5 },
  ...{ q4_0: 18 / 32, q4_1: 20 / 32, q5_0: 22 / 32, q5_1: 24 / 32, q8_0: 34 / 32, q4_k: 144 / 256, q5_k: 176 / 256, q6_k: 210 / 256 },
}

/** bytes of `rows × cols` elements */
export function sizeOf(spec: { rows: number; cols: number; dtype: DType }): number {
  return Math.ceil(spec.rows * spec.cols * BYTES[spec.dtype])
}

/** A 2-D matrix of `rows × cols`; row `i` starts at element `offset + i · stride` of its root. */
export interface Tensor {
  readonly id: number
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly stride: number
  readonly dtype: DType
  /**
   * Where it lives: `arena` for a pass, `host` for a pass in the host's memory (what is offloaded), `store` across passes (weights, gradients,
   * optimiser state), `input` for what the host uploads.
   */
  readonly space: 'arena' | 'host' | 'store' | 'input'
  /** A view reads its root's memory from this element on. */
  readonly root: Tensor | undefined
  readonly offset: number
  /** True where a gradient has to flow: something trainable lies at or below it. */
  readonly needsGrad: boolean
}
