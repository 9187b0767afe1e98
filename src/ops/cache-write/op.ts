/** cache[slots[t]] = x[t]: the keys or values of T new tokens to their places in a KV cache; a token whose slot is negative goes nowhere. */
import { type Builder, type NoAttrs, none, type Op, type Tensor } from '../op.ts'

export const cacheWriteOp: Op<NoAttrs> = {
  name: 'cache_write',
  attrs: none,
  /** inputs: x (T, C), slots (T, 1) i32, cache (S, C) in the store; the result is the whole cache */
  outputs: ([x, , cache]) => [{ rows: cache!.rows, cols: cache!.cols, dtype: x!.dtype, into: cache! }],
  flops: () => 0,
  bytes: ({ inputs: [x] }) => 2 * x!.rows * x!.cols * (x!.dtype === 'f32' ? 4 : 2),
}

export function cacheWrite(b: Builder, x: Tensor, slots: Tensor, cache: Tensor, name?: string): Tensor {
  return b.apply(cacheWriteOp, [x, slots, cache], {}, name)[0]!
}
