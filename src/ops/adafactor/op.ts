/**
 * Adafactor (Shazeer & Stern 2018) of one tensor, as transformers' Adafactor with scale_parameter and relative_step False and no first moment: with g
 * clipped to maxNorm by the global norm, β = 1 − step^−0.8 and q = g² + 1e-30, a tensor of `matrices` matrices of rows × cols keeps
 *   R = β·R + (1−β)·mean_cols q;  C = β·C + (1−β)·mean_rows q;  u = g / √(R / mean R) / √C     of each matrix
 * and a vector (`rows` 0) V = β·V + (1−β)·q; u = g / √V. Then
 *   u /= max(1, rms u);  p −= lr·decay·p;  p −= lr·u
 * where rms is the whole tensor's, and the gradient is left zero for the next step. lr is stepFloats' times `rate`. Where the norm is not finite
 * nothing changes.
 */
import { type Builder, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = { matrices: whole(1), rows: whole(), weightDecay: real(), rate: real(1) }

export const adafactorOp: Op<typeof attrs> = {
  name: 'adafactor',
  attrs,
  /**
   * inputs: p, g (1, matrices · rows · cols) f32, state (1, n) f32: R of all matrices, then C of all; of a vector V; norm (1, 1) f32,
   * stepFloats (1, 4) f32 = lr, maxNorm (0: no clipping), step, 0; outputs: p, g, state in place
   */
  outputs: (inputs) => inputs.slice(0, 3).map((x) => ({ rows: 1, cols: x!.cols, dtype: 'f32' as const, into: x! })),
  flops: ({ inputs: [p] }) => 20 * p!.cols,
  // g is read three times and cleared, p read and written
  bytes: ({ inputs: [p] }) => 24 * p!.cols,
}

export interface AdafactorOptions {
  /** of the tensor; 0 rows: a vector */
  matrices: number
  rows: number
  weightDecay: number
  /** what the learning rate is multiplied with here */
  rate: number
}

/** numbers it keeps of a tensor of n */
export function adafactorState(n: number, { matrices, rows }: Pick<AdafactorOptions, 'matrices' | 'rows'>): number {
  return rows === 0 ? n : matrices * rows + n / rows
}

export function adafactor(b: Builder, p: Tensor, g: Tensor, state: Tensor, norm: Tensor, options: AdafactorOptions): void {
  b.apply(adafactorOp, [p, g, state, norm, b.input('stepFloats')], options, 'optimizer')
}
