/** Embeddings: every type of weight, both layouts, tokens that come again. */
import type { CaseInput, DType, OpCase } from '../op.ts'
import { embedGradOp, embedOp } from './op.ts'

interface Setup {
  tokens: number
  vocab: number
  channels: number
  trans?: boolean
  weight?: DType
  /** dtype of the output */
  out?: DType
  padding?: number
  bench?: boolean
}

// a value of the table, exact in f32; rounded to bf16, 2⁻⁸
const tolerance = { f32: 4e-3, bf16: 4e-3 }

/** ids that repeat, with the first and the last of the vocabulary among them */
function tokenIds(s: Setup): CaseInput {
  const values = Array.from({ length: s.tokens }, (_, t) => (t === 0 ? s.vocab - 1 : (t * 7919) % Math.ceil(s.vocab / 2)))
  return { rows: s.tokens, cols: 1, dtype: 'i32', values }
}
const table = (s: Setup) => (s.trans ? { rows: s.channels, cols: s.vocab } : { rows: s.vocab, cols: s.channels })

function forward(name: string, s: Setup): OpCase {
  const dtype = s.weight ?? 'f32'
  const w: CaseInput = { ...table(s), dtype, space: 'store', trainable: dtype === 'f32' }
  const attrs = { trans: s.trans ?? false, dtype: s.out ?? 'f32' }
  const exact = (s.out ?? 'f32') === 'f32'
  return { name, op: embedOp, attrs, inputs: [tokenIds(s), w], tolerance: exact ? { f32: 0, bf16: 0 } : tolerance, bench: s.bench }
}

function gradient(name: string, s: Setup): OpCase {
  const dX: CaseInput = { rows: s.tokens, cols: s.channels, dtype: 'act' }
  const dW: CaseInput = { ...table(s), dtype: 'f32', space: 'store' }
  const attrs = { trans: s.trans ?? false, padding: s.padding ?? -1 }
  // f32 sums, in a bf16 run too: a rounding for each time a token comes again
  return { name, op: embedGradOp, attrs, inputs: [tokenIds(s), dX, dW], tolerance: { f32: 5e-7, bf16: 5e-7 }, bench: s.bench }
}

export const cases: readonly OpCase[] = [
  forward('f32', { tokens: 9, vocab: 31, channels: 37 }),
  forward('f32 to bf16', { tokens: 9, vocab: 31, channels: 37, out: 'bf16' }),
  forward('bf16', { tokens: 1, vocab: 5, channels: 16, weight: 'bf16', out: 'bf16' }),
  forward('bf16 to f32', { tokens: 6, vocab: 8, channels: 50, weight: 'bf16' }),
  forward('f16 to bf16', { tokens: 13, vocab: 40, channels: 19, weight: 'f16', out: 'bf16' }),
  forward('f16 to f32', { tokens: 13, vocab: 40, channels: 19, weight: 'f16' }),
  forward('columns (LoRA A)', { tokens: 12, vocab: 45, channels: 5, trans: true }),
  forward('columns to bf16', { tokens: 12, vocab: 45, channels: 5, trans: true, out: 'bf16' }),
  gradient('gradient', { tokens: 150, vocab: 31, channels: 37 }),
  gradient('gradient of columns (LoRA A)', { tokens: 40, vocab: 23, channels: 7, trans: true }),
  gradient('gradient, a token for padding', { tokens: 60, vocab: 9, channels: 33, padding: 3 }),
  gradient('gradient of columns, a token for padding', { tokens: 40, vocab: 9, channels: 7, trans: true, padding: 8 }),
  forward('SmolLM2-135M, 2,048 tokens', { tokens: 2048, vocab: 49152, channels: 576, weight: 'bf16', out: 'bf16', bench: true }),
  gradient('SmolLM2-135M, 2,048 tokens', { tokens: 2048, vocab: 49152, channels: 576, bench: true }),
]
