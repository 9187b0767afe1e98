/**
 * Rotary position embedding (Su et al. 2021). The angles of a pass are made once:
 *   table[t] = (cos(p_t · f_i) …, sin(p_t · f_i) …) · attentionFactor                                   (T, rotaryDim)
 * with one list of frequencies f, or two, of which each token says its own (LongRoPE, Ding et al. 2024);
 * and every head is rotated by them: (a, b) -> (a·cos − b·sin, b·cos + a·sin), backward with sin negated.
 * Pairs are (i, i + rotaryDim / 2), or (2i, 2i + 1) when interleaved, of the rotaryDim channels of a head from `from` on; the others pass
 * through.
 */
import { type Builder, flag, type Op, real, type Tensor, whole } from '../op.ts'

const tableAttrs = { attentionFactor: real(1) }
const attrs = { headDim: whole(), rotaryDim: whole(), from: whole(0), interleaved: flag(false), sign: real(1) }

export const ropeTableOp: Op<typeof tableAttrs> = {
  name: 'rope_table',
  attrs: tableAttrs,
  /** inputs: position (T, 1) i32, invFreq (1, rotaryDim / 2) f32; long (T, 1) i32 and longInvFreq (1, rotaryDim / 2) f32, or null: f where long is 0, and else */
  outputs: ([position, invFreq]) => [{ rows: position!.rows, cols: 2 * invFreq!.cols, dtype: 'f32' }],
  flops: ({ outputs: [table] }) => 20 * table!.rows * table!.cols,
}

export const ropeOp: Op<typeof attrs> = {
  name: 'rope',
  attrs,
  /** inputs: x (T, heads · headDim), table (T, rotaryDim) */
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => [b.apply(ropeOp, [dY!, node.inputs[1]!], { ...node.attrs, sign: -node.attrs.sign }, node.name)[0]!, null],
  inPlace: [[0, 0]],
  flops: ({ outputs: [y] }) => 3 * y!.rows * y!.cols,
}

/** frequencies of the tokens that are marked */
export interface LongFrequencies {
  /** (T, 1) i32: 0 or 1 */
  long: Tensor
  /** (1, rotaryDim / 2) f32 */
  invFreq: Tensor
}

export function ropeTable(b: Builder, position: Tensor, invFreq: Tensor, attentionFactor: number, other?: LongFrequencies): Tensor {
  return b.apply(ropeTableOp, [position, invFreq, other?.long ?? null, other?.invFreq ?? null], { attentionFactor }, 'rope_table')[0]!
}

/** How a head's channels turn. */
export interface Rotation {
  headDim: number
  /** its first channel that turns; default: 0 */
  from?: number
  interleaved: boolean
}

/** x (T, heads · headDim) turned by table (T, rotaryDim) */
export function rope(b: Builder, x: Tensor, table: Tensor, rotation: Rotation, name?: string): Tensor {
  return b.apply(ropeOp, [x, table], { ...rotation, rotaryDim: table.cols }, name)[0]!
}
