/** What `bench:cpu` measures: rows, precision, adapter, memory; and what each is held against. */
export interface CpuCase {
  name: string
  /** windows: 4 windows of 512 tokens a step; rows: 8 rows as they are, every token a target */
  data: 'windows' | 'rows'
  dtype: 'bf16' | 'f32'
  loadIn4bit?: boolean
  prefixSharing?: boolean
  r?: number
  dropout?: number
  /** SmolLM2 has no biases: `all` must then cost nothing */
  bias?: 'none' | 'all'
  /** adapt the head too */
  head?: boolean
  /** share of the arena that keeping everything takes */
  arena?: number
  /** a budget for everything, GiB; without it and `arena` everything is kept */
  memoryGiB?: number
  /** the HF case of bench/hf_cpu.py with the same tokens */
  baseline?: string
}

export const CASES: readonly CpuCase[] = [
  { name: 'bf16-windows', data: 'windows', dtype: 'bf16', baseline: 'bf16-windows' },
  { name: 'bf16-1.5GiB', data: 'windows', dtype: 'bf16', memoryGiB: 1.5, baseline: 'bf16-windows' },
  { name: 'bf16-rows', data: 'rows', dtype: 'bf16', prefixSharing: false, baseline: 'bf16-rows' },
  { name: 'bf16-rows-shared', data: 'rows', dtype: 'bf16', prefixSharing: true, baseline: 'bf16-rows' },
  { name: 'f32-windows', data: 'windows', dtype: 'f32', baseline: 'f32-windows' },
  { name: 'nf4-windows', data: 'windows', dtype: 'bf16', loadIn4bit: true },
  { name: 'half-arena', data: 'windows', dtype: 'bf16', arena: 0.5 },
  { name: 'dropout', data: 'windows', dtype: 'bf16', dropout: 0.05 },
  { name: 'bias-all', data: 'windows', dtype: 'bf16', bias: 'all' },
  { name: 'r128', data: 'windows', dtype: 'bf16', r: 128 },
  { name: 'head-adapter', data: 'windows', dtype: 'bf16', head: true },
]
