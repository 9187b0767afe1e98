/**
 * u = alpha · dropout(x) · wᵀ: the low-rank part of a linear whose input is dropped, with no dropout(x) in memory. It is for devices whose
 * kernels draw the mask where x is read; elsewhere it is a dropout and a product (`expand`).
 */
import { dropoutOp, hash32 } from '../dropout/op.ts'
import { type Builder, type Op, real, type Tensor, word } from '../op.ts'
import { product } from '../product/op.ts'

/** p, module: dropout's */
const attrs = { p: real(), module: word(), alpha: real(1) }
type Attributes = typeof attrs

/** inputs: x (T, C), w (N, C), then dropout's row, depth and stepInts; u (T, N) */
export const dropoutProductOp: Op<Attributes> = {
  name: 'dropout_product',
  attrs,
  outputs: ([x, w]) => [{ rows: x!.rows, cols: w!.rows, dtype: x!.dtype }],
  multiplied: () => [1],
  expand(b, [x, w, ...where], { p, module, alpha }, name) {
    const [dropped] = b.apply(dropoutOp, [x!, ...where], { p, module }, name)
    return [product(b, [{ x: dropped!, w: w! }], { alpha }, name)]
  },
  backward(b, { inputs: [x, w, ...where], attrs, name }, [dU]) {
    if (w!.needsGrad) b.apply(dropoutWeightGradOp, [dU!, x!, b.gradientOf(w!), ...where], attrs, name)
    const dX = x!.needsGrad ? b.apply(dropoutInputGradOp, [null, dU!, w!, ...where], attrs, name)[0]! : null
    return [dX, null, null, null, null]
  },
  flops: ({ inputs: [x, w] }) => productFlops(x!, w!.rows),
}

/** inputs: addend | null (T, C), dU (T, N), w (N, C), row, depth, stepInts; dX (T, C) = addend + alpha · mask ⊙ (dU · w) / (1 − p) */
export const dropoutInputGradOp: Op<Attributes> = {
  name: 'dropout_input_grad',
  attrs,
  outputs: ([, dU, w]) => [{ rows: dU!.rows, cols: w!.cols, dtype: dU!.dtype }],
  inPlace: [[0, 0]],
  multiplied: () => [2],
  mergeSum: (b, { inputs: [addend, ...rest], attrs, name }, other) =>
    addend ? null : b.apply(dropoutInputGradOp, [other, ...rest], attrs, name)[0]!,
  flops: ({ inputs: [, dU, w] }) => 2 * dU!.rows * dU!.cols * w!.cols,
}

/** inputs: dU (T, N), x (T, C), dW (N, C) f32, row, depth, stepInts; dW += alpha · dUᵀ · dropout(x) */
export const dropoutWeightGradOp: Op<Attributes> = {
  name: 'dropout_weight_grad',
  attrs,
  outputs: ([, , dW]) => [{ rows: dW!.rows, cols: dW!.cols, dtype: 'f32', into: dW! }],
  flops: ({ inputs: [dU, x] }) => productFlops(x!, dU!.cols),
}

const productFlops = (x: Tensor, n: number) => 2 * x.rows * x.cols * n

/** u (T, N) = alpha · dropout(x) · wᵀ; `path` names the place whose mask it is */
export function dropoutProduct(
  b: Builder,
  x: Tensor,
  w: Tensor,
  { p, path, alpha }: { p: number; path: string; alpha: number },
  name?: string,
): Tensor {
  const inputs = [x, w, b.input('row'), b.input('depth'), b.input('stepInts')]
  return b.apply(dropoutProductOp, inputs, { p, module: hash32(path), alpha }, name)[0]!
}
