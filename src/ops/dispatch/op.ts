/**
 * Tokens to their experts and back. A token t has k slots, each an expert: slot t · k + j. The M = T · k slots, sorted by expert and within
 * one by slot (hence by token), are the sorted rows; the rows of expert e are offsets[e] … offsets[e + 1] − 1, none for an expert without tokens.
 * Nothing is dropped: offsets[E] = M, whatever the routing.
 *   order[s]      the slot that sorted row s is: its token is ⌊order[s] / k⌋
 *   places[t, j]  the sorted row that slot (t, j) is: order[places[t, j]] = t · k + j
 *
 * `spread` copies each token's row to its sorted rows, `combine` adds a token's sorted rows up, in the order of j: each is the other's gradient.
 */
import { type Builder, type NoAttrs, none, type Op, type Tensor, whole } from '../op.ts'

const attrs = {
  /** E */
  experts: whole(),
}

export const dispatchOp: Op<typeof attrs> = {
  name: 'dispatch',
  attrs,
  /** inputs: experts (T, k) i32, each 0 … E − 1, those of a token different */
  outputs: ([chosen], { experts }) => [
    { rows: experts + 1, cols: 1, dtype: 'i32' }, // offsets (E + 1, 1)
    { rows: chosen!.rows * chosen!.cols, cols: 1, dtype: 'i32' }, // order (T · k, 1)
    { rows: chosen!.rows, cols: chosen!.cols, dtype: 'i32' }, // places (T, k)
  ],
  flops: () => 0,
  bytes: ({ inputs: [chosen] }) => 16 * chosen!.rows * chosen!.cols,
}

/** inputs: x (T, C), order (T · k, 1) i32, places (T, k) i32; y[s] = x[⌊order[s] / k⌋] */
export const spreadOp: Op<NoAttrs> = {
  name: 'spread',
  attrs: none,
  outputs: ([x, order]) => [{ rows: order!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, { inputs: [, order, places], name }, [dY]) => [b.apply(combineOp, [dY!, order!, places!], {}, name)[0]!, null, null],
  cheap: true,
  flops: () => 0,
}

/** inputs: rows (T · k, C), order (T · k, 1) i32, places (T, k) i32; y[t] = Σ_j rows[places[t, j]], in f32, rounded once */
export const combineOp: Op<NoAttrs> = {
  name: 'combine',
  attrs: none,
  outputs: ([rows, , places]) => [{ rows: places!.rows, cols: rows!.cols, dtype: rows!.dtype }],
  backward: (b, { inputs: [, order, places], name }, [dY]) => [b.apply(spreadOp, [dY!, order!, places!], {}, name)[0]!, null, null],
  flops: ({ inputs: [rows] }) => rows!.rows * rows!.cols,
}

/** Where the slots of a pass lie, sorted by expert. */
export interface Dispatch {
  /** (E + 1, 1) i32 */
  offsets: Tensor
  /** (T · k, 1) i32 */
  order: Tensor
  /** (T, k) i32 */
  places: Tensor
  /** the experts of a token's slots (T, k) i32 */
  chosen: Tensor
}

/** chosen (T, k) i32, of `experts` */
export function dispatch(b: Builder, chosen: Tensor, experts: number, name?: string): Dispatch {
  const [offsets, order, places] = b.apply(dispatchOp, [chosen], { experts }, name)
  return { offsets: offsets!, order: order!, places: places!, chosen }
}

/** x (T, C) -> (T · k, C) */
export function spread(b: Builder, x: Tensor, { order, places }: Dispatch, name?: string): Tensor {
  return b.apply(spreadOp, [x, order, places], {}, name)[0]!
}

/** rows (T · k, C) -> (T, C) */
export function combine(b: Builder, rows: Tensor, { order, places }: Dispatch, name?: string): Tensor {
  return b.apply(combineOp, [rows, order, places], {}, name)[0]!
}
