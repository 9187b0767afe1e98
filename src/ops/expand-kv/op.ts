/**
 * Keys and values of latent attention (MLA, DeepSeek-AI 2024) out of what comes from the latent: every head has a part of its key of its own,
 * and behind it one that all heads share, which the rotation turned.
 *   k[t, h] = (kv[t, h, : own], shared[t]),  v[t, h] = kv[t, h, own :]
 */
import { zeros } from '../gather/op.ts'
import { type Builder, type Op, type Tensor, whole } from '../op.ts'

const attrs = { own: whole(), valueDim: whole() }

export interface KvShape {
  /** channels of a key head that are its own */
  own: number
  /** channels of a value head */
  valueDim: number
}

export const expandKvOp: Op<typeof attrs> = {
  name: 'expand_kv',
  attrs,
  /** inputs: kv (T, H · (own + valueDim)), shared (T, R) */
  outputs([kv, shared], { own, valueDim }) {
    const heads = kv!.cols / (own + valueDim)
    return [
      { rows: kv!.rows, cols: heads * (own + shared!.cols), dtype: kv!.dtype }, // k (T, H · (own + R))
      { rows: kv!.rows, cols: heads * valueDim, dtype: kv!.dtype }, // v (T, H · valueDim)
    ]
  },
  backward(b, node, [dK, dV]) {
    const [kv, shared] = node.inputs
    const [k, v] = node.outputs
    const d = b.apply(expandKvBackwardOp, [dK ?? zeros(b, k!), dV ?? zeros(b, v!)], node.attrs, node.name)
    return [kv!.needsGrad ? d[0]! : null, shared!.needsGrad ? d[1]! : null]
  },
  cheap: true,
  flops: () => 0,
}

export const expandKvBackwardOp: Op<typeof attrs> = {
  name: 'expand_kv_backward',
  attrs,
  /** inputs: dK (T, H · (own + R)), dV (T, H · valueDim) */
  outputs([dK, dV], { own, valueDim }) {
    const heads = dV!.cols / valueDim
    return [
      { rows: dK!.rows, cols: heads * (own + valueDim), dtype: dK!.dtype }, // dKv
      { rows: dK!.rows, cols: dK!.cols / heads - own, dtype: dK!.dtype }, // dShared: the sum over heads
    ]
  },
  flops: ({ inputs: [dK] }) => dK!.rows * dK!.cols,
}

export function expandKv(b: Builder, kv: Tensor, shared: Tensor, shape: KvShape, name?: string): { k: Tensor; v: Tensor } {
  const [k, v] = b.apply(expandKvOp, [kv, shared], { own: shape.own, valueDim: shape.valueDim }, name)
  return { k: k!, v: v! }
}
