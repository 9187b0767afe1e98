/**
 * NEFTune's noise on embeddings (Jain et al. 2023): y = x + alpha / √(L·C) · ε, ε uniform in [−1, 1), L the length of the token's row. The
 * random bits are those of dropout: of (seed, step, row, depth, module, channel), however a step is cut.
 */
import { hash32 } from '../dropout/op.ts'
import { type Builder, type Op, real, type Tensor, word } from '../op.ts'

const attrs = { alpha: real(), module: word() }

export const noiseOp: Op<typeof attrs> = {
  name: 'noise',
  attrs,
  /** inputs: x (T, C), row, depth, visibleUntil (T, 1) i32, stepInts (1, 4) i32 = seed, step, 0, 0. Rows lie whole, one after the other: token t's ends at visibleUntil and began depth tokens ago */
  outputs: ([x]) => [{ rows: x!.rows, cols: x!.cols, dtype: x!.dtype }],
  backward: (_, __, [dY]) => [dY!, null, null, null, null],
  inPlace: [[0, 0]],
  cheap: true,
  flops: ({ outputs: [y] }) => 12 * y!.rows * y!.cols,
}

export function noise(b: Builder, x: Tensor, alpha: number, path: string): Tensor {
  const inputs = [x, b.input('row'), b.input('depth'), b.input('visibleUntil'), b.input('stepInts')]
  return b.apply(noiseOp, inputs, { alpha, module: hash32(path) }, path)[0]!
}

/** ε of a channel: 24 bits of its hash */
export const noiseOf = (bits: number) => (bits >>> 8) * 2 ** -23 - 1
