/** What `bench:cuda` measures: model, rows, adapter, memory; and what each is held against. */

/** `windows`: rows of random ids; `alpaca`: real rows as they are, every token a target, behind a system prompt where there is one. */
export type CudaRows =
  | { kind: 'windows'; batch: number; tokens: number }
  | { kind: 'alpaca'; batch: number; accumulation: number; system?: number }
  /** a window shorter every third step: passes of a size not seen before */
  | { kind: 'sizes'; batch: number; tokens: number }

const LLAMA = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']

/**
 * Shapes of models, by what baseline_gpu.py's `setup` calls them, and what is adapted of them; `parameters`: stacks of a mixture's experts.
 * `onLoad`: 4-bit weights are made as the model is opened, not read.
 */
export const SIZES = {
  /** Llama-3.1-8B */
  l8b: { vocab: 128256, linears: LLAMA, parameters: [], onLoad: false },
  /** Llama-3.2-1B */
  l1b: { vocab: 128256, linears: LLAMA, parameters: [], onLoad: false },
  /** Phi-4 */
  p14b: { vocab: 100352, linears: ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'], parameters: [], onLoad: true },
  /** Gemma-2-9B */
  g9b: { vocab: 256000, linears: LLAMA, parameters: [], onLoad: true },
  /** 12 of the 48 layers of Qwen3-30B-A3B; bitsandbytes has no file of experts that lie in one tensor */
  q30b12: {
    vocab: 151936,
    linears: LLAMA.slice(0, 4),
    parameters: ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'],
    onLoad: true,
  },
} as const

export interface CudaCase {
  name: string
  /** the row's name in a table */
  title: string
  size: keyof typeof SIZES
  weights: 'nf4' | 'bf16'
  rows: CudaRows
  /** GiB that the process may take of the card; free: the card's */
  memory: number | 'free'
  /** its baseline keeps everything for backward, as where memory is free */
  kept?: boolean
  prefixSharing?: boolean
  r?: number
  dropout?: number
  bias?: 'none' | 'all'
  /** adapt the head too */
  head?: boolean
  /** the row it is a share of */
  plain?: string
  /** only the first step counts: with nothing compiled before (cold), or with what one run before left (cached) */
  first?: 'cold' | 'cached'
}

const window = (batch: number, tokens: number): CudaRows => ({ kind: 'windows', batch, tokens })
const alpaca: CudaRows = { kind: 'alpaca', batch: 2, accumulation: 4 }
const system: CudaRows = { ...alpaca, system: 150 }
const qlora = { size: 'l8b', weights: 'nf4' } as const
const lora = { size: 'l8b', weights: 'bf16' } as const
const small = { size: 'l1b', weights: 'bf16', memory: 'free' } as const
const nf4 = { weights: 'nf4', rows: window(2, 2048) } as const
/** adapters that cost other frameworks more */
const adapter = { ...qlora, rows: window(2, 2048), memory: 7.5, plain: 'qlora-2x2048-7.5' } as const

export const CASES: readonly CudaCase[] = [
  { name: 'qlora-2x2048', title: 'QLoRA 2×2048 in 6 GiB', ...qlora, rows: window(2, 2048), memory: 6 },
  { name: 'qlora-2x2048-7.5', title: 'QLoRA 2×2048 in 7.5 GiB', ...qlora, rows: window(2, 2048), memory: 7.5 },
  { name: 'qlora-8x2048', title: 'QLoRA 8×2048 in 8.5 GiB', ...qlora, rows: window(8, 2048), memory: 8.5 },
  { name: 'qlora-1x32768', title: 'QLoRA 1×32768 in 11 GiB', ...qlora, rows: window(1, 32768), memory: 11 },
  { name: 'qlora-alpaca', title: 'QLoRA, Alpaca 2×4 in 7.5 GiB', ...qlora, rows: alpaca, memory: 7.5 },
  { name: 'qlora-alpaca-shared', title: 'the same, beginnings shared', ...qlora, rows: alpaca, memory: 7.5, prefixSharing: true },
  { name: 'qlora-system-shared', title: 'QLoRA, system prompt + Alpaca 2×4 in 7.5 GiB, beginnings shared', ...qlora, rows: system, memory: 7.5, prefixSharing: true }, // biome-ignore format: a row
  { name: 'qlora-2x2048-free', title: 'QLoRA 2×2048, memory free', ...qlora, rows: window(2, 2048), memory: 'free' },
  { name: 'qlora-alpaca-free', title: 'QLoRA, Alpaca 2×4, memory free', ...qlora, rows: alpaca, memory: 'free' },
  {
    name: 'qlora-alpaca-free-shared',
    title: 'the same, beginnings shared',
    ...qlora,
    rows: alpaca,
    memory: 'free',
    prefixSharing: true,
  },
  { name: 'qlora-system-free-shared', title: 'QLoRA, system prompt + Alpaca 2×4, memory free, beginnings shared', ...qlora, rows: system, memory: 'free', prefixSharing: true }, // biome-ignore format: a row
  { name: 'bf16-2x2048', title: 'bf16 LoRA 2×2048 in 29 GiB', ...lora, rows: window(2, 2048), memory: 29, kept: true },
  { name: 'bf16-8x2048', title: 'bf16 LoRA 8×2048 in 18.5 GiB', ...lora, rows: window(8, 2048), memory: 18.5 },
  { name: '1b-2x2048', title: '1B bf16 LoRA 2×2048, memory free', ...small, rows: window(2, 2048) },
  { name: '1b-8x2048', title: '1B bf16 LoRA 8×2048, memory free', ...small, rows: window(8, 2048) },
  { name: '1b-alpaca', title: '1B bf16 LoRA, Alpaca 2×4, memory free', ...small, rows: alpaca },
  { name: 'phi4', title: 'Phi-4 QLoRA 2×2048 in 10 GiB', size: 'p14b', ...nf4, memory: 10 },
  { name: 'gemma2', title: 'Gemma-2-9B QLoRA 2×2048 in 8.5 GiB', size: 'g9b', ...nf4, memory: 8.5 },
  { name: 'qwen3-moe', title: 'Qwen3-30B-A3B, 12 layers, QLoRA 2×2048 in 6.8 GiB', size: 'q30b12', ...nf4, memory: 6.8 },
  { name: 'qwen3-moe-free', title: 'the same, memory free', size: 'q30b12', ...nf4, memory: 'free' },
  { name: 'qlora-dropout', title: 'dropout 0.05', ...adapter, dropout: 0.05 },
  { name: 'qlora-bias', title: 'bias all', ...adapter, bias: 'all' },
  { name: 'qlora-r128', title: 'r 128', ...adapter, r: 128, memory: 10.5 },
  { name: 'qlora-head', title: 'lm_head adapted too', ...adapter, head: true },
  {
    name: 'qlora-first-cold',
    title: 'first step, nothing compiled before',
    ...qlora,
    rows: window(2, 2048),
    memory: 7.5,
    first: 'cold',
  },
  { name: 'qlora-first-cached', title: 'first step, kernels cached', ...qlora, rows: window(2, 2048), memory: 7.5, first: 'cached' },
  { name: 'qlora-free-first-cached', title: 'the same, Alpaca 2×4, memory free', ...qlora, rows: alpaca, memory: 'free', first: 'cached' },
  { name: '1b-first-cached', title: '1B bf16 LoRA, Alpaca 2×4, first step, kernels cached', ...small, rows: alpaca, first: 'cached' },
  {
    name: 'qlora-sizes',
    title: 'a pass size for the first time',
    ...qlora,
    rows: { kind: 'sizes', batch: 2, tokens: 2048 },
    memory: 7.5,
  },
]

/** steps before the first that counts, and those that count, as the baseline has them */
export const WARM_UP = 3
export const COUNTED = { windows: 6, alpaca: 12, sizes: 12 } as const

/** What baseline_gpu.py calls the engine and weights of a case, and its rows; null: it has nothing like it. */
export function baselineOf(c: CudaCase, engine: string): { mode: string; case: string } | null {
  // what a baseline's own caches hold is not known
  if (c.rows.kind === 'sizes' || c.first === 'cached') return null
  const extra = [c.dropout ? '-dropout' : '', c.bias === 'all' ? '-bias' : '', c.r === 128 ? '-r128' : '', c.head ? '-head' : ''].join('')
  const mode = `${engine}-${c.weights}${c.kept || c.memory === 'free' ? '' : '-ckpt'}${extra}`
  const { rows } = c
  if (rows.kind === 'windows') return { mode, case: `${rows.batch}x${rows.tokens}` }
  return { mode, case: `${rows.system ? `sys${rows.system}:` : 'alp'}${rows.batch}x${rows.accumulation}` }
}
