/**
 * Which type each tensor of a quantised file has: llama.cpp's mixtures (llama-quant.cpp), so that a file from here is as large and as good as
 * one from there. Tensors that feed everything after them (values, what comes down from the MLP, the head) get more bits in some layers.
 */
import { type GgmlType, ggmlType } from './types.ts'

/** what a file may be written in: the type of most of its tensors, and `general.file_type` */
export const QUANTIZATIONS = {
  f32: { most: 'F32', fileType: 0 },
  f16: { most: 'F16', fileType: 1 },
  bf16: { most: 'BF16', fileType: 32 },
  q8_0: { most: 'Q8_0', fileType: 7 },
  q6_k: { most: 'Q6_K', fileType: 18 },
  q5_k_m: { most: 'Q5_K', fileType: 17 },
  q4_k_m: { most: 'Q4_K', fileType: 15 },
  q5_1: { most: 'Q5_1', fileType: 9 },
  q5_0: { most: 'Q5_0', fileType: 8 },
  q4_1: { most: 'Q4_1', fileType: 3 },
  q4_0: { most: 'Q4_0', fileType: 2 },
} as const

export type Quantization = keyof typeof QUANTIZATIONS

export const isQuantization = (name: string): name is Quantization => Object.hasOwn(QUANTIZATIONS, name)

export const isQuantised = (quantization: Quantization): boolean => !['f32', 'f16', 'bf16'].includes(quantization)

export interface Blocks {
  layers: number
  /** of each layer that has any; 0: none */
  experts: number
  heads: number
  kvHeads: number
  /** the head is the embedding */
  tied: boolean
}

interface Shaped {
  name: string
  shape: readonly number[]
}

/** what stays f32: vectors, norms, routers, everything that is no weight */
function isKept({ name, shape }: Shaped): boolean {
  return shape.length < 2 || !name.endsWith('weight') || name.includes('_norm.weight') || name.includes('ffn_gate_inp.weight')
}

const is = (name: string, ...parts: string[]) => parts.some((part) => name.includes(part))

/** a first eighth, a last eighth, and every third between */
const moreBits = (layer: number, layers: number) => {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}

/** types of all tensors, in their order */
export function typesOf(tensors: readonly Shaped[], quantization: Quantization, blocks: Blocks): GgmlType[] {
  const { most } = QUANTIZATIONS[quantization]
  const values = tensors.filter(({ name }) => is(name, 'attn_v.weight', 'attn_qkv.weight', 'attn_kv_b.weight')).length
  let value = 0
  return tensors.map((tensor) => {
    if (isKept(tensor)) return ggmlType('F32')
    if (!isQuantised(quantization)) return ggmlType(most)
    const isValue = is(tensor.name, 'attn_v.weight', 'attn_qkv.weight', 'attn_kv_b.weight')
    return fitting(wanted(tensor, quantization, blocks, isValue ? [value++, values] : null), tensor.shape.at(-1)!)
  })
}

function wanted({ name, shape }: Shaped, quantization: Quantization, blocks: Blocks, value: [number, number] | null): string {
  const { most } = QUANTIZATIONS[quantization]
  const { layers, experts, heads, kvHeads, tied } = blocks
  const mixed = quantization === 'q4_k_m' || quantization === 'q5_k_m'
  if (name === 'output.weight' || (tied && name === 'token_embd.weight'))
    return most === 'Q8_0' || shape.at(-1)! % ggmlType(most).block !== 0 ? 'Q8_0' : 'Q6_K'
  if (name === 'token_embd.weight') return most
  if (value) {
    if (experts === 8) return 'Q8_0'
    if (mixed && moreBits(...value)) return 'Q6_K'
    // eight query heads share one of values in models of 70B: their values cost little
    return most === 'Q4_K' && layers === 80 && heads !== kvHeads ? 'Q5_K' : most
  }
  if (is(name, 'attn_k.weight')) return experts === 8 ? 'Q8_0' : most
  if (is(name, 'ffn_down')) return mixed && moreBits(Number(/^blk\.(\d+)\./.exec(name)?.[1]), layers) ? 'Q6_K' : most
  if (is(name, 'attn_output.weight')) return experts === 8 && quantization === 'q4_k_m' ? 'Q5_K' : most
  return most
}

const NEXT: Readonly<Record<string, string>> = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' }

/** Rows must divide into blocks: the next type with blocks of 32, else f16. */
function fitting(name: string, cols: number): GgmlType {
  for (const candidate of [name, NEXT[name]]) {
    const type = candidate === undefined ? undefined : ggmlType(candidate)
    if (type && cols % type.block === 0) return type
  }
  return ggmlType('F16')
}
