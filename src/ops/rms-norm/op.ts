/**
 * RMSNorm (Zhang & Sennrich 2019), alone and fused with the residual sum before it:
 *   h = x + delta,  r = 1 / sqrt(mean(h²) + eps),  y = h · r · w     (plusOne: · (1 + w))
 * `group` channels are normalised together: the whole row, or each head on its own (w then has `group` channels).
 *
 * With x̂ = h · r and g = dy · w:  dh = r · (g − x̂ · mean(g · x̂)) + dResidual,  dw = Σ_t dy · x̂
 */
import { type Attrs, type Builder, flag, type Op, real, type Tensor, whole } from '../op.ts'

const attrs = { eps: real(), plusOne: flag(false), group: whole() }
type NormAttrs = Attrs<typeof attrs>

export interface NormOptions {
  eps: number
  /** y = x̂ · (1 + w) instead of x̂ · w (Gemma) */
  plusOne?: boolean
  /** normalise each run of `group` channels on its own (per-head norms); default: the whole row */
  group?: number
}

const groups = (x: Tensor, { group }: NormAttrs) => x.cols / group

export const rmsNormOp: Op<typeof attrs> = {
  name: 'rms_norm',
  attrs,
  outputs: ([x], attrs) => [
    { rows: x!.rows, cols: x!.cols, dtype: x!.dtype }, // y (T, C)
    { rows: x!.rows, cols: groups(x!, attrs), dtype: 'f32' }, // rstd (T, C / group)
  ],
  backward(b, node, [dY]) {
    const [x, w] = node.inputs
    return normBackward(b, dY!, x!, w!, node.outputs[1]!, null, node.attrs, node.name, x!.needsGrad)
  },
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => 4 * y!.rows * y!.cols,
}

export const addRmsNormOp: Op<typeof attrs> = {
  name: 'add_rms_norm',
  attrs,
  outputs: ([x], attrs) => [
    { rows: x!.rows, cols: x!.cols, dtype: x!.dtype }, // h (T, C)
    { rows: x!.rows, cols: x!.cols, dtype: x!.dtype }, // y (T, C)
    { rows: x!.rows, cols: groups(x!, attrs), dtype: 'f32' }, // rstd (T, C / group)
  ],
  backward(b, node, [dH, dY]) {
    const [x, delta, w] = node.inputs
    const [h, , rstd] = node.outputs
    if (!dY) return [dH!, dH!, null]
    const [d, dW] = normBackward(b, dY, h!, w!, rstd!, dH ?? null, node.attrs, node.name, x!.needsGrad || delta!.needsGrad)
    return [d!, d!, dW!]
  },
  /** y and rstd come back from h alone */
  rematerialise: (b, node) => [null, ...b.apply(rmsNormOp, [node.outputs[0]!, node.inputs[2]!], node.attrs, node.name)],
  inPlace: [
    [0, 0],
    [1, 1],
  ],
  flops: ({ outputs: [h] }) => 5 * h!.rows * h!.cols,
}

export const rmsNormBackwardOp: Op<typeof attrs> = {
  name: 'rms_norm_backward',
  attrs,
  /** inputs: dY (T, C), x (T, C), w (1, group), rstd (T, C / group), dResidual (T, C) | null */
  outputs: ([dY]) => [{ rows: dY!.rows, cols: dY!.cols, dtype: dY!.dtype }],
  inPlace: [
    [0, 0],
    [0, 4],
  ],
  flops: ({ outputs: [d] }) => 8 * d!.rows * d!.cols,
}

export const rmsNormWeightGradOp: Op<typeof attrs> = {
  name: 'rms_norm_weight_grad',
  attrs,
  /** inputs: dY (T, C), x (T, C), rstd (T, C / group), dW (1, group) */
  outputs: ([, , , dW]) => [{ rows: 1, cols: dW!.cols, dtype: 'f32', into: dW! }],
  flops: ({ inputs: [dY] }) => 3 * dY!.rows * dY!.cols,
}

function normBackward(
  b: Builder,
  dY: Tensor,
  x: Tensor,
  w: Tensor,
  rstd: Tensor,
  dResidual: Tensor | null,
  attrs: NormAttrs,
  name: string,
  wanted: boolean,
) {
  if (w.needsGrad) b.apply(rmsNormWeightGradOp, [dY, x, rstd, b.gradientOf(w)], attrs, name)
  return [wanted ? b.apply(rmsNormBackwardOp, [dY, x, w, rstd, dResidual], attrs, name)[0]! : null, null]
}

/** y (T, C) = rmsnorm(x) · w */
export function rmsNorm(b: Builder, x: Tensor, w: Tensor, options: NormOptions, name?: string): Tensor {
  return b.apply(rmsNormOp, [x, w], { group: x.cols, ...options }, name)[0]!
}

/** h = x + delta (T, C), y = rmsnorm(h) · w (T, C) */
export function addRmsNorm(b: Builder, x: Tensor, delta: Tensor, w: Tensor, options: NormOptions, name?: string): { h: Tensor; y: Tensor } {
  const [h, y] = b.apply(addRmsNormOp, [x, delta, w], { group: x.cols, ...options }, name)
  return { h: h!, y: y! }
}
