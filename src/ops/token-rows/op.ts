/**
 * Rows of an embedding, or of a head, that some tokens have from elsewhere (PEFT's trainable_token_indices): x[t] = rows[i] where ids[t] is
 * tokens[i], and of logits column tokens[i] = z[:, i]. What stood there is not read, so it gets no gradient.
 * Tokens are in f32, as constants are: exact up to 2²⁴. None comes twice. Of token `padding` a row is read, but gets no gradient there.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor, whole } from '../op.ts'

const attrs = { padding: whole(-1) }

const bytes = (x: Tensor) => 2 * x.rows * x.cols * (x.dtype === 'f32' ? 4 : 2)

export const tokenRowsOp: Op<typeof attrs> = {
  name: 'token_rows',
  attrs,
  /** inputs: x (T, C), ids (T, 1) i32, tokens (1, n) f32, rows (n, C) f32 | null: zeros */
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward(b, { inputs: [x, ids, tokens, rows], attrs, name }, [dY]) {
    if (rows?.needsGrad) b.apply(tokenRowsGradOp, [ids!, tokens!, dY!, b.gradientOf(rows)], attrs, name)
    return [x!.needsGrad ? b.apply(tokenRowsOp, [dY!, ids!, tokens!, null], attrs, name)[0]! : null, null, null, null]
  },
  inPlace: [[0, 0]],
  cheap: true,
  flops: () => 0,
  bytes: ({ outputs: [y] }) => bytes(y!),
}

export const tokenRowsGradOp: Op<typeof attrs> = {
  name: 'token_rows_grad',
  attrs,
  /** inputs: ids (T, 1) i32, tokens (1, n) f32, dX (T, C), dRows (n, C) f32, which is added to in the order of t */
  outputs: ([, , , dRows]) => [{ rows: dRows!.rows, cols: dRows!.cols, dtype: 'f32', into: dRows! }],
  flops: ({ inputs: [, , dX] }) => dX!.rows * dX!.cols,
}

export const tokenColumnsOp: Op<NoAttrs> = {
  name: 'token_columns',
  attrs: none,
  /** inputs: y (M, V), tokens (1, n) f32, z (M, n) | null: zeros */
  outputs: ([y]) => [{ rows: y!.rows, cols: y!.cols, dtype: y!.dtype }],
  backward(b, { inputs: [y, tokens, z], name }, [dY]) {
    const dZ = z?.needsGrad ? b.apply(columnsOfTokensOp, [dY!, tokens!], {}, name)[0]! : null
    return [y!.needsGrad ? b.apply(tokenColumnsOp, [dY!, tokens!, null], {}, name)[0]! : null, null, dZ]
  },
  inPlace: [[0, 0]],
  flops: () => 0,
  bytes: ({ outputs: [y] }) => bytes(y!),
}

export const columnsOfTokensOp: Op<NoAttrs> = {
  name: 'columns_of_tokens',
  attrs: none,
  /** inputs: y (M, V), tokens (1, n) f32; output (M, n): y's columns of these tokens */
  outputs: ([y, tokens]) => [{ rows: y!.rows, cols: tokens!.cols, dtype: y!.dtype }],
  flops: () => 0,
  bytes: ({ outputs: [z] }) => bytes(z!),
}

/** x (T, C), with rows (n, C) where ids (T, 1) are one of tokens (1, n) */
export function tokenRows(
  b: Builder,
  x: Tensor,
  ids: Tensor,
  tokens: Tensor,
  rows: Tensor,
  options: { padding?: number },
  name?: string,
): Tensor {
  return b.apply(tokenRowsOp, [x, ids, tokens, rows], options, name)[0]!
}

/** y (M, V), with z (M, n) in the columns of tokens (1, n) */
export function tokenColumns(b: Builder, y: Tensor, tokens: Tensor, z: Tensor, name?: string): Tensor {
  return b.apply(tokenColumnsOp, [y, tokens, z], {}, name)[0]!
}
