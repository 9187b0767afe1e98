/**
 * Products of a mixture's experts: row s of x belongs to the expert e whose rows offsets[e] … offsets[e + 1] − 1 are (`dispatch`), and
 *   y[s] = alpha · Σ_p x_p[s] · w_p,eᵀ         w_p (E · N, K_p): expert e's (N, K_p) is its rows e · N … (e + 1) · N − 1
 *   y[s] = alpha · Σ_p x_p[s] · w_p,e          `trans`: w_p (E · K_p, N): expert e's (K_p, N) is its rows e · K_p … (e + 1) · K_p − 1
 * So a weight lies one way, forward as [E, F, C] is in a file, and its input gradient is the same tensor read with `trans`. Parts join along the
 * reduction as in `product`: LoRA's B rides beside the large weight. An expert may have no rows, or all of them.
 *
 * `grouped_weight_grad`: dW_e (N, K) += alpha · Σ_{s of e} dY[s]ᵀ · x[s] for every expert; one without rows gets nothing.
 *
 * inputs: offsets (E + 1, 1) i32, then x_p (M, K_p), w_p for each part; offsets[E] = M.
 */
import { type Builder, flag, type Node, type Op, real, type Tensor } from '../op.ts'
import type { Part } from '../product/op.ts'
import { scale } from '../scale/op.ts'

const attrs = { alpha: real(1), trans: flag(false) }
const gradAttrs = { alpha: real(1) }

export const groupedProductOp: Op<typeof attrs> = {
  name: 'grouped_product',
  attrs,
  // an expert's few rows are multiplied in another order than its many
  rowsDepend: true,
  outputs([offsets, x, w], { trans }) {
    return [{ rows: x!.rows, cols: trans ? w!.cols : w!.rows / (offsets!.rows - 1), dtype: x!.dtype }]
  },
  backward(b, node, [dY]) {
    const { alpha, trans } = node.attrs
    const offsets = node.inputs[0]!
    const d = scale(b, dY!, alpha)
    const result: (Tensor | null)[] = [null]
    for (const { x, w } of groupedParts(node)) {
      if (w.needsGrad) {
        const [rows, cols] = trans ? [x, d] : [d, x]
        b.apply(groupedWeightGradOp, [offsets, rows, cols, b.gradientOf(w)], {}, node.name)
      }
      result.push(x.needsGrad ? groupedProduct(b, offsets, [{ x: d, w }], { trans: !trans }, node.name) : null, null)
    }
    return result
  },
  mergeSum(b, node, _other, otherNode) {
    if (!otherNode || !mergeable(node) || !mergeable(otherNode)) return null
    const offsets = node.inputs[0]!
    const { trans } = node.attrs
    if (otherNode.inputs[0] !== offsets || otherNode.attrs.trans !== trans) return null
    return groupedProduct(b, offsets, [...groupedParts(node), ...groupedParts(otherNode)], { trans }, node.name)
  },
  inGroups: true,
  flops(node) {
    const y = node.outputs[0]!
    return groupedParts(node).reduce((sum, { x }) => sum + 2 * y.rows * y.cols * x.cols, 0)
  },
}

export const groupedWeightGradOp: Op<typeof gradAttrs> = {
  name: 'grouped_weight_grad',
  attrs: gradAttrs,
  /** inputs: offsets (E + 1, 1) i32, dY (M, N), x (M, K), dW (E · N, K) f32 */
  outputs: ([, , , dW]) => [{ rows: dW!.rows, cols: dW!.cols, dtype: 'f32', into: dW! }],
  inGroups: true,
  flops: ({ inputs: [, dY, x] }) => 2 * dY!.rows * dY!.cols * x!.cols,
}

function mergeable(node: Node): node is Node<typeof attrs> {
  return node.op === groupedProductOp && node.attrs.alpha === 1
}

/** (x_p, w_p) of each part */
export function groupedParts(node: Node): Part[] {
  const list: Part[] = []
  for (let i = 1; i < node.inputs.length; i += 2) list.push({ x: node.inputs[i]!, w: node.inputs[i + 1]! })
  return list
}

export interface GroupedProductOptions {
  alpha?: number
  /** w_p is (E · K_p, N) instead of (E · N, K_p) */
  trans?: boolean
}

/** y (M, N); offsets (E + 1, 1) */
export function groupedProduct(
  b: Builder,
  offsets: Tensor,
  list: readonly Part[],
  options: GroupedProductOptions = {},
  name?: string,
): Tensor {
  return b.apply(groupedProductOp, [offsets, ...list.flatMap(({ x, w }) => [x, w])], options, name)[0]!
}
