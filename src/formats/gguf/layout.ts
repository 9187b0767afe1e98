/** How GGUF keeps a family's models: what each file in models/ says of its own. */
import type { JsonObject } from '../json.ts'
import type { GgufModel } from './model.ts'

export interface GgufLayout {
  /** `general.architecture` */
  architecture: string
  /** Is it this family's, where several are written under one architecture? */
  holds?(model: GgufModel): boolean
  /** of a mixture of experts; others refuse files that have any */
  experts?: boolean
  /** parts of a block (`blk.N.attn_q`) -> paths in a block of the checkpoint; `*`: the part holds all experts, each of which is a tensor there */
  parts: Readonly<Record<string, string>>
  /** parts that are no module's weight but a tensor of their own: its path */
  bare?: Readonly<Record<string, string>>
  /** tensors of all experts' matrices (in, out) and, with `_bias`, of their biases: the parts that are their channels by turns */
  turned?: Readonly<Record<string, readonly string[]>>
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

const TOP: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

/** Undefined for a name that the family doesn't have. */
export function huggingFaceName(gguf: string, { parts, bare = {} }: GgufLayout): string | undefined {
  if (Object.hasOwn(TOP, gguf)) return TOP[gguf]
  const [, layer, part, kind] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.(weight|bias)$/.exec(gguf) ?? []
  if (part !== undefined && kind === 'weight' && Object.hasOwn(bare, part)) return `model.layers.${layer}.${bare[part]}`
  return part !== undefined && Object.hasOwn(parts, part) ? `model.layers.${layer}.${parts[part]}.${kind}` : undefined
}
