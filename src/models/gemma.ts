/** What the generations of Gemma share: a norm after attention and MLP too, embeddings times √C, soft caps. */
import { bf16ToF32, f32ToBf16 } from '../formats/numbers.ts'
import { scale } from '../ops/scale/op.ts'
import { softCap } from '../ops/soft-cap/op.ts'
import type { DType, Tensor } from '../ops/tensor.ts'
import type { Config } from './config.ts'
import type { Block, PreNormParts } from './decoder.ts'
import { norm } from './norm.ts'
import type { Trace } from './trace.ts'

/** h = x + norm(attention(norm(x)));  h + norm(mlp(norm(h))) */
export function gemmaBlock(parts: PreNormParts): Block {
  return (t, x, layer) => {
    const attended = parts.attention(t, norm(t, 'input_layernorm', x, parts.norm), layer)
    const h = t.add(x, norm(t, 'post_attention_layernorm', attended, parts.norm))
    const fed = parts.mlp(t, norm(t, 'pre_feedforward_layernorm', h, parts.norm))
    return t.add(h, norm(t, 'post_feedforward_layernorm', fed, parts.norm))
  }
}

/** x (T, C) times √C, which is rounded to the activations' type first */
export const timesRoot = (t: Trace, x: Tensor): Tensor => scale(t, x, rounded(Math.sqrt(x.cols), t.activation))

function rounded(x: number, dtype: DType): number {
  return dtype === 'bf16' ? bf16ToF32(f32ToBf16(Float32Array.of(x)))[0]! : Math.fround(x)
}

/** logits under a soft cap; 0: none */
export const capped = (cap: number) => (t: Trace, logits: Tensor) => (cap ? softCap(t, logits, cap) : logits)

/** null or no default: no cap, which is 0 */
export function capOf(c: Config, key: string, fallback?: number): number {
  const value = c.json[key] === undefined ? fallback : c.json[key]
  return value === undefined || value === null ? 0 : c.above(0, key, fallback)
}
