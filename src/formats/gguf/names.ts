/** GGUF's tensor names as Hugging Face's, for the families that share Llama's layout. */

const top: Readonly<Record<string, string>> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

const inBlock: Readonly<Record<string, string>> = {
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

/** Undefined for a name that none of these families has. */
export function huggingFaceName(gguf: string): string | undefined {
  if (Object.hasOwn(top, gguf)) return top[gguf]
  const [, layer, part, kind] = /^blk\.(0|[1-9]\d{0,5})\.([a-z_]+)\.(weight|bias)$/.exec(gguf) ?? []
  return part !== undefined && Object.hasOwn(inBlock, part) ? `model.layers.${layer}.${inBlock[part]}.${kind}` : undefined
}
