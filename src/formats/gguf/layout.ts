/** How GGUF keeps a family's models: what each file in models/ says of its own. */
import type { JsonObject } from '../json.ts'
import type { GgufModel } from './model.ts'

export interface GgufLayout {
  /** `general.architecture` */
  architecture: string
  /** Is it this family's, where several are written under one architecture? */
  holds?(model: GgufModel): boolean
  /** the key that `holds` goes by, for who reads of a file that is none's */
  heldBy?: string
  /** of a mixture of experts; others refuse files that have any */
  experts?: boolean
  /**
   * Parts of a block (`blk.N.attn_q`) -> paths in a block of the checkpoint; `*`: the part holds all experts, each of which is a tensor there.
   * A part with `.weight` or `.bias` is that tensor alone, and the path its whole name
   */
  parts: Readonly<Record<string, string>>
  /** tensors of all experts' matrices (in, out) and, with `_bias`, of their biases: the parts that are their channels by turns */
  turned?: Readonly<Record<string, readonly string[]>>
  /** linears that newer files have as two parts, each of matrices of one head: path -> the part whose matrices lie transposed, the one below it */
  byHead?: Readonly<Record<string, readonly [transposed: string, plain: string]>>
  /** parts whose rows were put into the order that llama.cpp's rotation of pairs wants */
  rotatedRows?: readonly ('attn_q' | 'attn_k')[]
  /** norms' weights are stored with 1 added */
  normsPlusOne?: boolean
  /** the first `rope.dimension_count` channels of a head rotate, not all of them */
  partialRotation?: boolean
  /** tables of the rotation that `config` reads (`GgufModel.factors`), beside the one of Llama 3 */
  factors?: readonly string[]
  /** what no key says of these models' tokenizers, which the ids depend on: they are taken from tokenizer.json beside the file */
  tokenizerLacks?: string
  /** keys below the architecture's name that `config` reads, beside those that all have */
  keys?: readonly string[]
  /** config.json as transformers has it: `model.common` and what is the family's own */
  config(model: GgufModel): JsonObject
}

/** of the block that Llama made standard */
export const LLAMA_PARTS: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

/** of Llama's block, what isn't its MLP */
export const ATTENTION_PARTS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(LLAMA_PARTS).filter(([, path]) => !path.startsWith('mlp.')),
)

export const TOP: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

/** Undefined for a name that the family doesn't have. */
export function huggingFaceName(gguf: string, { parts }: GgufLayout): string | undefined {
  if (Object.hasOwn(TOP, gguf)) return TOP[gguf]
  const [, layer, part, expert, kind] =
    /^blk\.(0|[1-9]\d{0,5})\.((?:nextn\.)?[a-z_]+)(?:\.(0|[1-9]\d{0,5}))?\.(weight|bias)$/.exec(gguf) ?? []
  if (layer === undefined) return undefined
  const path = (key: string) => (Object.hasOwn(parts, key) ? `model.layers.${layer}.${parts[key]}` : undefined)
  // files of 2024 have each expert by itself
  if (expert !== undefined) return kind === 'weight' ? path(`${part}_exps`)?.replace('*', expert).concat('.weight') : undefined
  return path(`${part}.${kind}`) ?? path(part!)?.concat(`.${kind}`)
}

/** Of a part of matrices of each head: the layer, the linear's path in its block, and which of its two parts it is. */
export function headPart(gguf: string, { byHead = {} }: GgufLayout): { name: string; transposed: boolean } | undefined {
  const [, layer, part] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.weight$/.exec(gguf) ?? []
  for (const [path, parts] of Object.entries(byHead)) {
    if (part === parts[0] || part === parts[1]) return { name: `model.layers.${layer}.${path}.weight`, transposed: part === parts[0] }
  }
  return undefined
}
