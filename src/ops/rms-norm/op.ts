/**
 * RMSNorm (Zhang & Sennrich 2019), alone and fused with the residual sum before it:
 *   h = x + delta,  r = 1 / sqrt(mean(h²) + eps),  y = h · r · w     (plusOne: · (1 + w))
 * `group` channels are normalised together: the whole row, or each head on its own (w then has `group` channels).
 *
 * With x̂ = h · r and g = dy · w:  dh = r · (g − x̂ · mean(g · x̂)) + dResidual,  dw = Σ_t dy · x̂
 */
import type { NormOptions } from '../../models/trace.ts'
import type { Attrs, Builder, Op, Tensor } from '../op.ts'

const ATTRS = ['eps', 'plusOne', 'group'] as const
const groups = (x: Tensor, attrs: Attrs) => x.cols / attrs.group!

export const rmsNormOp: Op = {
  name: 'rms_norm',
  attrs: ATTRS,
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

export const addRmsNormOp: Op = {
  name: 'add_rms_norm',
  attrs: ATTRS,
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

export const rmsNormBackwardOp: Op = {
  name: 'rms_norm_backward',
  attrs: ATTRS,
  /** inputs: dY (T, C), x (T, C), w (1, group), rstd (T, C / group), dResidual (T, C) | null */
  outputs: ([dY]) => [{ rows: dY!.rows, cols: dY!.cols, dtype: dY!.dtype }],
  inPlace: [
    [0, 0],
    [0, 4],
  ],
  flops: ({ outputs: [d] }) => 8 * d!.rows * d!.cols,
}

export const rmsNormWeightGradOp: Op = {
  name: 'rms_norm_weight_grad',
  attrs: ATTRS,
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
  attrs: Attrs,
  name: string,
  wanted: boolean,
) {
  if (w.needsGrad) b.apply(rmsNormWeightGradOp, [dY, x, rstd, b.gradientOf(w)], attrs, name)
  return [wanted ? b.apply(rmsNormBackwardOp, [dY, x, w, rstd, dResidual], attrs, name)[0]! : null, null]
}

function attrs(x: Tensor, o: NormOptions): Attrs {
  return { eps: o.eps, plusOne: o.plusOne ? 1 : 0, group: o.group ?? x.cols }
}

/** y (T, C) = rmsnorm(x) · w */
export function rmsNorm(b: Builder, x: Tensor, w: Tensor, options: NormOptions, name?: string): Tensor {
  return b.apply(rmsNormOp, [x, w], attrs(x, options), name)[0]!
}

/** h = x + delta (T, C), y = rmsnorm(h) · w (T, C) */
export function addRmsNorm(b: Builder, x: Tensor, delta: Tensor, w: Tensor, options: NormOptions, name?: string): { h: Tensor; y: Tensor } {
  const [h, y] = b.apply(addRmsNormOp, [x, delta, w], attrs(x, options), name)
  return { h: h!, y: y! }
}
