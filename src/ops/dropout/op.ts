/**
 * y = x · keep / (1 − p). The random bits are a function of (seed, step, row, depth, module, channel), never of where a token lies
 * in a pass: the same token is dropped alike however a step is cut, kept or recomputed, and backward draws the mask anew.
 *
 * `slot_dropout` is that of the rows of single experts (`dispatch`): a token's rows for its experts have masks of their own, by (…, module, expert, channel).
 */
import type { Dispatch } from '../dispatch/op.ts'
import { type Builder, type Op, real, type Tensor, word } from '../op.ts'

/** `module` names the place: 32 bits made from its path (hash32) */
const attrs = { p: real(), module: word() }

export const dropoutOp: Op<typeof attrs> = {
  name: 'dropout',
  attrs,
  /** inputs: x (T, C), row (T, 1) i32, depth (T, 1) i32, stepInts (1, 4) i32 = seed, step, 0, 0 */
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => [b.apply(dropoutOp, [dY!, ...node.inputs.slice(1)], node.attrs, node.name)[0]!, null, null, null],
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => 12 * y!.rows * y!.cols,
}

export const slotDropoutOp: Op<typeof attrs> = {
  name: 'slot_dropout',
  attrs,
  /** inputs: x (M, C), order (M, 1) i32 with M = T · k, experts (T, k) i32, row (T, 1) i32, depth (T, 1) i32, stepInts (1, 4) i32 */
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (b, node, [dY]) => [
    b.apply(slotDropoutOp, [dY!, ...node.inputs.slice(1)], node.attrs, node.name)[0]!,
    ...node.inputs.slice(1).map(() => null),
  ],
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => 12 * y!.rows * y!.cols,
}

/** x (T · k, C): sorted rows, each an expert's input */
export function slotDropout(b: Builder, x: Tensor, { order, chosen }: Dispatch, p: number, path: string): Tensor {
  if (p === 0) return x
  const inputs = [x, order, chosen, b.input('row'), b.input('depth'), b.input('stepInts')]
  return b.apply(slotDropoutOp, inputs, { p, module: hash32(path) }, path)[0]!
}

/** FNV-1a, 32 bits */
export function hash32(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** Murmur3's finaliser: every output bit depends on every input bit. */
export function mix32(x: number): number {
  let h = x >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Key of a token's mask: seed, step, row, depth and module, folded one after another. */
export function tokenKey(seed: number, step: number, row: number, depth: number, module: number): number {
  return [seed, step, row, depth, module].reduce(fold, 0)
}

/** Key of the mask of a token's row for `expert`. */
export function slotKey(key: number, expert: number): number {
  return fold(key, expert)
}

function fold(key: number, word: number): number {
  return mix32((key ^ word) + 0x9e3779b9)
}

/** Channel c of a token with `key` is kept when this is at least p · 2³². */
export function channelBits(key: number, channel: number): number {
  return mix32(key + Math.imul(channel, 0x9e3779b9))
}
