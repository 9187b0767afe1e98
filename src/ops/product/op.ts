/**
 * y = alpha · Σ_p x_p · w_pᵀ + bias + addend: the one product of the engine. Parts concatenate along the reduction, so LoRA rides
 * inside the large product, [x | u] · [W | B]ᵀ, and the input gradient of several linears of one x is one product too.
 *
 * inputs: addend | null (M, N), bias | null (1, N), then x_p (M, K_p), w_p (N, K_p) for each part; `trans`: w_p is (K_p, N).
 */
import { columnSum } from '../column-sum/op.ts'
import { type Builder, flag, type Node, type Op, real, type Tensor } from '../op.ts'
import { scale } from '../scale/op.ts'
import { weightGrad } from '../weight-grad/op.ts'

export interface Part {
  x: Tensor
  w: Tensor
}
export interface ProductOptions {
  alpha?: number
  /** w_p is (K_p, N) instead of (N, K_p) */
  trans?: boolean
  bias?: Tensor | null
  addend?: Tensor | null
}

const attrs = { alpha: real(1), trans: flag(false) }

export const productOp: Op<typeof attrs> = {
  name: 'product',
  attrs,
  outputs(inputs, { trans }) {
    const x = inputs[2]!
    const w = inputs[3]!
    return [{ rows: x.rows, cols: trans ? w.cols : w.rows, dtype: x.dtype }]
  },
  backward(b, node, [dY]) {
    if (node.attrs.trans) throw new Error(`${node.name}: a transposed product only occurs in backward`)
    const d = scale(b, dY!, node.attrs.alpha)
    const [addend, bias] = node.inputs
    if (bias?.needsGrad) columnSum(b, dY!, b.gradientOf(bias), node.name)
    const result: (Tensor | null)[] = [addend?.needsGrad ? dY! : null, null]
    for (const { x, w } of parts(node)) {
      if (w.needsGrad) weightGrad(b, d, x, b.gradientOf(w), node.name)
      result.push(x.needsGrad ? product(b, [{ x: d, w }], { trans: true }, node.name) : null, null)
    }
    return result
  },
  inPlace: [[0, 0]],
  mergeSum(b, node, other, otherNode) {
    const mine = mergeable(node)
    if (
      mine &&
      otherNode &&
      mergeable(otherNode) &&
      otherNode.attrs.trans === node.attrs.trans &&
      !(node.inputs[0] && otherNode.inputs[0])
    ) {
      return product(
        b,
        [...parts(node), ...parts(otherNode)],
        { trans: node.attrs.trans, addend: node.inputs[0] ?? otherNode.inputs[0] ?? null },
        node.name,
      )
    }
    if (node.op !== productOp || node.inputs[0]) return null
    return product(b, parts(node), { alpha: node.attrs.alpha, trans: node.attrs.trans, bias: node.inputs[1]!, addend: other }, node.name)
  },
  multiplied: ({ inputs }) => inputs.flatMap((_, i) => (i > 2 && i % 2 === 1 ? [i] : [])),
  widen: {
    // one part alone, so that nothing but x and w decides the result
    of({ inputs: [addend, bias, x, w, ...more], attrs: { alpha, trans } }) {
      return addend || bias || more.length || trans ? null : { x: x!, w: w!, alike: `${w!.cols} ${alpha}` }
    },
    inputs: ({ inputs: [, , x] }, w) => [null, null, x!, w],
  },
  flops(node) {
    const y = node.outputs[0]!
    return parts(node).reduce((sum, { x }) => sum + 2 * y.rows * y.cols * x.cols, 0)
  },
}

function mergeable(node: Node): node is Node<typeof attrs> {
  return node.op === productOp && node.attrs.alpha === 1 && !node.inputs[1]
}

/** (x_p, w_p) of each part */
export function parts(node: Node): Part[] {
  const list: Part[] = []
  for (let i = 2; i < node.inputs.length; i += 2) list.push({ x: node.inputs[i]!, w: node.inputs[i + 1]! })
  return list
}

/** y (M, N) = alpha · Σ x_p · w_pᵀ + bias + addend */
export function product(b: Builder, list: readonly Part[], { alpha, trans, bias, addend }: ProductOptions = {}, name?: string): Tensor {
  const inputs = [addend ?? null, bias ?? null, ...list.flatMap(({ x, w }) => [x, w])]
  return b.apply(productOp, inputs, { alpha, trans }, name)[0]!
}
