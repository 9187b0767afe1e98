/**
 * The gated activation of gpt-oss (OpenAI 2025), of a product whose columns are gate and up by turns (2i, 2i + 1):
 *   g' = min(g, limit),  u' = min(max(u, −limit), limit),  h = (u' + 1) · g' · σ(alpha · g')
 * Nothing flows where a value is beyond its limit; at the limit it does, as in torch:
 *   with s = σ(alpha · g'):  dg = dh · (u' + 1) · s · (1 + alpha · g' · (1 − s)),  du = dh · g' · s
 */
import { type Attrs, type Builder, type Op, real, type Tensor } from '../op.ts'

const attrs = { alpha: real(), limit: real() }
export type ClampedAttrs = Attrs<typeof attrs>

export const clampedSwigluBackwardOp: Op<typeof attrs> = {
  name: 'clamped_swiglu_backward',
  attrs,
  /** inputs: dH (T, F), both (T, 2F); output: dBoth (T, 2F) */
  outputs: ([, both]) => [{ rows: both!.rows, cols: both!.cols, dtype: both!.dtype }],
  inPlace: [[0, 1]],
  flops: ({ inputs: [dH] }) => 20 * dH!.rows * dH!.cols,
}

export const clampedSwigluOp: Op<typeof attrs> = {
  name: 'clamped_swiglu',
  attrs,
  /** input: both (T, 2F); output: h (T, F) */
  outputs: ([both]) => [{ rows: both!.rows, cols: both!.cols / 2, dtype: both!.dtype }],
  backward: (b, node, [dH]) => b.apply(clampedSwigluBackwardOp, [dH!, ...node.inputs], node.attrs, node.name),
  cheap: true,
  flops: ({ outputs: [h] }) => 12 * h!.rows * h!.cols,
}

/** both (T, 2F), gate and up by turns -> h (T, F) */
export function clampedSwiglu(b: Builder, both: Tensor, attrs: ClampedAttrs, name?: string): Tensor {
  return b.apply(clampedSwigluOp, [both], attrs, name)[0]!
}
