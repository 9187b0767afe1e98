"""The cases of families.py: which model, which adapter. Everything is tiny; each case exists for one thing a family or an adapter can do differently."""
from dataclasses import dataclass, field
from typing import Any

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Case:
    """One model with its adapter. `adapter` None: full fine-tuning, every weight is trained."""

    name: str
    family: str
    config: dict[str, Any]
    adapter: dict[str, Any] | None = field(default_factory=lambda: dict(r=4, lora_alpha=8, target_modules=SEVEN))
    # config.json as checkpoints before transformers 5 have it: rope_theta and rope_scaling instead of rope_parameters
    legacy: bool = False
    # tensors named by the modules that hold them, where save_pretrained names them as older files do
    renamed: bool = False
    # experts each by itself, as linears, and the blocks' linears in bitsandbytes' NF4: what 4-bit files of gpt-oss have
    apart: bool = False
    # micro-batches, by the numbers of the rows; None: each row is one
    batches: list[list[int]] | None = None

    @property
    def text(self) -> dict[str, Any]:
        """the configuration of the text model"""
        return self.config.get("text_config", self.config)


def model(**changes: Any) -> dict[str, Any]:
    """32 channels, 2 layers, 2 heads of 16 channels over 1 kv head, untied head; `changes` are keys of the family's config."""
    base = dict(
        vocab_size=97, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=None,
        rope_parameters=dict(rope_type="default", rope_theta=10000.0),
    )
    return {**base, **changes}


def rope(kind: str, theta: float = 10000.0, **keys: Any) -> dict[str, Any]:
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **keys))


def lora(**keys: Any) -> dict[str, Any]:
    return {**dict(r=4, lora_alpha=8, target_modules=SEVEN), **keys}


# original lengths below the rows' 47 tokens, so that every band of a scaled rope is met
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
# head_dim 32 and these betas put the ramp on channels 3 to 6: below, on and above it
YARN = rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=2.0, beta_slow=1.0, attention_factor=1.1)
YARN_DEFAULTS = rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=32)
GEMMA2 = dict(head_dim=24, query_pre_attn_scalar=20, sliding_window=9, attn_logit_softcapping=1.5, final_logit_softcapping=6.0, tie_word_embeddings=True)
# ten layers are two periods of five; both bases turn within a row, the global one scaled; a cap that Gemma 3's attention doesn't read
GEMMA3_ROPE = dict(rope_parameters=dict(full_attention=dict(rope_type="linear", factor=2.5, rope_theta=5000.0), sliding_attention=dict(rope_type="default", rope_theta=300.0)))
GEMMA3 = dict(hidden_size=36, intermediate_size=44, head_dim=24, num_attention_heads=3, query_pre_attn_scalar=7, sliding_window=9, attn_logit_softcapping=1.5, tie_word_embeddings=True, **GEMMA3_ROPE)
# the text model beside a vision tower
GEMMA3_WHOLE = dict(
    text_config={**model(**GEMMA3), **dict(pad_token_id=0, final_logit_softcapping=2.0, layer_types=["sliding_attention", "full_attention"])},
    vision_config=dict(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4, vision_use_head=False),
    mm_tokens_per_image=4, image_token_index=96, boi_token_index=94, eoi_token_index=95, bos_token_id=1, eos_token_id=2,
)
FUSED = lambda **keys: lora(target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"], **keys)
# 30 positions: rows of 44 and 47 tokens are beyond, those of 25 and 7 are not, nor is the prompt that is answered. Row 2 beside row 0 is
# computed as a long one; rows 0 and 1 begin alike, as rows 0 and 2 do
LONG = rope("longrope", 1000.0, partial_rotary_factor=0.75, short_factor=[1.0, 1.05, 1.2, 1.5, 2.0, 2.5], long_factor=[1.0, 1.4, 2.3, 4.0, 7.0, 9.0])
LONG |= dict(original_max_position_embeddings=30, num_attention_heads=2, num_key_value_heads=1)
MIXED = [[2, 0], [1], [3]]
# value heads smaller than those of queries and keys; a norm's eps that is not the latents'
MLA = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
LATENT = dict(num_key_value_heads=2, first_k_dense_replace=2, rms_norm_eps=1e-3, q_lora_rank=20, kv_lora_rank=13, qk_nope_head_dim=18, qk_rope_head_dim=10, v_head_dim=11)
LATENT_V2 = LATENT | dict(kv_lora_rank=14, first_k_dense_replace=1, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, n_shared_experts=2)
LATENT |= dict(n_routed_experts=4, n_group=2, topk_group=1, num_experts_per_tok=2, moe_intermediate_size=16)
BIASED = dict(attention_bias=True, mlp_bias=True)
# mixtures of experts: a coefficient that the balance loss bends gradients with
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MIXTRAL = dict(num_local_experts=4, num_experts_per_tok=2, router_aux_loss_coef=0.3)
QWEN3_MOE = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=20, head_dim=16, router_aux_loss_coef=0.3)
# a window that bites, a clamp that does, every band of YaRN
GPT_OSS = dict(head_dim=16, intermediate_size=20, num_local_experts=4, num_experts_per_tok=2, sliding_window=9, swiglu_limit=1.0, router_aux_loss_coef=0.3)
GPT_OSS |= rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=2.0, beta_slow=1.0, truncate=False)

CASES = [
    # llama
    Case("llama-mha", "llama", model(num_key_value_heads=2)),
    Case("llama-gqa-tied", "llama", model(tie_word_embeddings=True, num_attention_heads=4, num_key_value_heads=2, head_dim=16)),
    Case("llama-biases", "llama", model(**BIASED)),
    Case("llama-head-dim", "llama", model(head_dim=24)),
    Case("llama-rope-llama3", "llama", model(head_dim=16, **LLAMA3), legacy=True),
    Case("llama-rope-linear", "llama", model(**rope("linear", 5000.0, factor=2.5))),
    Case("llama-rope-yarn", "llama", model(num_attention_heads=2, num_key_value_heads=1, head_dim=32, **YARN)),
    # heads that no vector is as long as: of 2 channels, 100 and 288
    Case("llama-heads-2", "llama", model(head_dim=2, num_attention_heads=8, num_key_value_heads=2, num_hidden_layers=1)),
    Case("llama-heads-100", "llama", model(head_dim=100, num_hidden_layers=1), lora(target_modules=["q_proj", "v_proj"])),
    Case("llama-heads-288", "llama", model(head_dim=288, num_attention_heads=1, num_hidden_layers=1), lora(target_modules=["k_proj", "o_proj"])),
    Case("llama-odd", "llama", model(hidden_size=36, intermediate_size=83, num_attention_heads=3, num_key_value_heads=1, head_dim=24), lora(r=3)),
    # mistral
    Case("mistral", "mistral", model(sliding_window=None)),
    Case("mistral-window", "mistral", model(sliding_window=12, head_dim=16), legacy=True),
    # qwen2: biases on q, k and v alone
    Case("qwen2", "qwen2", model(rms_norm_eps=1e-6)),
    Case("qwen2-tied-yarn", "qwen2", model(tie_word_embeddings=True, num_attention_heads=2, num_key_value_heads=1, **YARN_DEFAULTS), legacy=True),
    Case("qwen2-window", "qwen2", model(use_sliding_window=True, sliding_window=9, max_window_layers=1)),
    # qwen3: q and k normalised per head
    Case("qwen3", "qwen3", model(head_dim=16, rms_norm_eps=1e-6)),
    Case("qwen3-tied", "qwen3", model(head_dim=24, tie_word_embeddings=True, num_hidden_layers=3)),
    # gemma2: norms with 1 + w, four a block; caps low enough to bend most scores and logits; a window on every other layer
    Case("gemma2", "gemma2", model(num_hidden_layers=3, **GEMMA2)),
    Case("gemma2-plain", "gemma2", model(**{**GEMMA2, **dict(tie_word_embeddings=False, attn_logit_softcapping=None, final_logit_softcapping=None, layer_types=["full_attention", "sliding_attention"])})),
    # gemma3: normalised heads, two rotations, windows on five of six layers
    Case("gemma3", "gemma3_text", model(**{**GEMMA3, **dict(num_hidden_layers=6)}), legacy=True),
    Case("gemma3-plain", "gemma3_text", model(num_hidden_layers=3, head_dim=16, final_logit_softcapping=6.0, attention_bias=True, layer_types=["full_attention", "sliding_attention", "sliding_attention"], sliding_window=4, rope_parameters=None)),
    Case("gemma3-whole", "gemma3", GEMMA3_WHOLE, lora(), legacy=True),
    Case("gemma3-whole-untied", "gemma3", {**GEMMA3_WHOLE, "tie_word_embeddings": False}, lora(target_modules=r".*language_model.*\.(q_proj|k_proj|down_proj)"), renamed=True),
    # smollm3: layers without rotation
    Case("smollm3", "smollm3", model(num_hidden_layers=4, tie_word_embeddings=True, **BIASED)),
    Case("smollm3-window", "smollm3", model(no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=9)),
    # phi3: q, k and v in one linear, gate and up in another; part of a head rotates; frequencies by a micro-batch's longest row
    Case("phi3", "phi3", model(num_key_value_heads=None, sliding_window=2047), FUSED()),
    Case("phi3-window-odd", "phi3", model(hidden_size=36, intermediate_size=83, num_attention_heads=3, head_dim=24, sliding_window=9, **rope("default", partial_rotary_factor=0.75)), FUSED(r=3)),
    Case("phi3-longrope", "phi3", model(num_hidden_layers=3, tie_word_embeddings=True, **LONG), FUSED(), legacy=True, batches=MIXED),
    Case("phi3-longrope-alike", "phi3", model(**{**LONG, **dict(max_position_embeddings=64, sliding_window=11)}), lora(target_modules="all-linear"), batches=[[0, 1, 2], [3]]),
    # mixtral: experts by the k best of a softmax, weights that add up to 1
    Case("mixtral", "mixtral", model(**MIXTRAL), lora(target_modules=ATTENTION)),
    Case("mixtral-window-odd", "mixtral", model(hidden_size=36, intermediate_size=43, num_attention_heads=3, head_dim=24, sliding_window=9, num_local_experts=5, num_experts_per_tok=3, router_aux_loss_coef=0.1), lora(r=3, target_modules=ATTENTION), batches=MIXED),
    # two routers' rows alike: torch chooses the lower of two equal experts where there are three
    Case("mixtral-ties", "mixtral", model(num_local_experts=3, num_experts_per_tok=2), lora(target_modules=["q_proj", "o_proj"]), renamed=True),
    # qwen3_moe: weights as they are or renormalised; experts in some of the layers; more experts than tokens ask for
    Case("qwen3-moe", "qwen3_moe", model(norm_topk_prob=True, **QWEN3_MOE), lora(target_modules=ATTENTION)),
    Case("qwen3-moe-some-dense", "qwen3_moe", model(num_hidden_layers=6, mlp_only_layers=[3], decoder_sparse_step=2, **QWEN3_MOE), lora(target_modules=ATTENTION), renamed=True, batches=[[0, 2], [1, 3]]),
    Case("qwen3-moe-idle", "qwen3_moe", model(use_sliding_window=True, sliding_window=9, attention_bias=True, **{**QWEN3_MOE, **dict(num_experts=24, num_experts_per_tok=1, moe_intermediate_size=12, router_aux_loss_coef=0.0)}), lora(target_modules=["q_proj", "v_proj"])),
    # low rank on experts: PEFT turns names of an expert's linears into its two tensors, of twice the rank where two lie in one
    Case("mixtral-experts", "mixtral", model(**MIXTRAL), lora(r=3, target_modules=["q_proj", "w1", "w2", "w3"])),
    Case("mixtral-experts-one", "mixtral", model(hidden_size=36, intermediate_size=18, num_attention_heads=3, head_dim=24, num_local_experts=5, num_experts_per_tok=3, router_aux_loss_coef=0.0), lora(r=2, target_modules=["o_proj"], target_parameters=["experts.gate_up_proj"], use_rslora=True)),
    Case("qwen3-moe-all-linear", "qwen3_moe", model(num_hidden_layers=3, mlp_only_layers=[1], norm_topk_prob=True, **QWEN3_MOE), lora(target_modules="all-linear")),
    Case("qwen3-moe-expression", "qwen3_moe", model(**QWEN3_MOE), lora(r=3, target_modules=r".*\.(q_proj|gate_proj|up_proj)", target_parameters=["layers.1.mlp.experts.down_proj"], alpha_pattern={r".*\.down_proj": 5})),
    Case("qwen3-moe-saved", "qwen3_moe", model(num_hidden_layers=3, mlp_only_layers=[2], **QWEN3_MOE), lora(target_modules=["q_proj"], target_parameters=["layers.2.mlp.down_proj.weight"], modules_to_save=["layers.0.mlp.experts", "gate"])),
    # deepseek_v3: keys and values out of a latent, queries too; interleaved rotation of a part of each head, YaRN with mscale. All layers dense.
    Case("deepseek-v3", "deepseek_v3", model(**LATENT, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=2.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=0.7)), lora(target_modules=MLA), legacy=True),
    Case("deepseek-v3-plain-q", "deepseek_v3", model(**{**LATENT, **dict(q_lora_rank=None, rope_interleave=False, attention_bias=True, v_head_dim=25, num_attention_heads=3, num_key_value_heads=3)}), lora(target_modules=["q_proj", *MLA[2:]])),
    # with experts: groups, a buffer that only chooses, shared experts; weights as they are or renormalised; more experts than tokens ask for
    Case("deepseek-v3-experts", "deepseek_v3", model(**{**LATENT, **dict(num_hidden_layers=3, first_k_dense_replace=1, n_routed_experts=12, n_group=4, topk_group=2, num_experts_per_tok=3, routed_scaling_factor=1.7)}), lora(target_modules=MLA), legacy=True),
    Case("deepseek-v3-experts-lora", "deepseek_v3", model(**{**LATENT, **dict(q_lora_rank=None, first_k_dense_replace=1, n_routed_experts=6, n_group=1, n_shared_experts=2, num_experts_per_tok=2, norm_topk_prob=False, routed_scaling_factor=0.8)}), lora(target_modules="all-linear")),
    # deepseek_v2: softmax scores times a factor, greedy or of the best groups; YaRN's mscale; biases of dense and shared MLPs
    Case("deepseek-v2-groups", "deepseek_v2", model(**{**LATENT_V2, **dict(num_hidden_layers=3, topk_method="group_limited_greedy", n_routed_experts=12, n_group=4, topk_group=2, num_experts_per_tok=3, routed_scaling_factor=1.7)}, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=2.0, beta_slow=1.0, mscale=0.707, mscale_all_dim=0.707)), lora(target_modules=MLA), legacy=True),
    Case("deepseek-v2-lite", "deepseek_v2", model(**{**LATENT_V2, **dict(q_lora_rank=None, attention_bias=True, mlp_bias=True, v_head_dim=25, num_attention_heads=4, num_key_value_heads=None, n_routed_experts=6, n_group=1, topk_group=1)}), lora(r=3, target_modules="all-linear"), batches=MIXED),
    # gpt_oss: sinks, biases everywhere, windows on every other layer; experts' matrices (in, out), gate and up by turns, most of them beyond the clamp
    Case("gpt-oss", "gpt_oss", model(**GPT_OSS), lora(target_modules=ATTENTION)),
    Case("gpt-oss-odd", "gpt_oss", model(**{**GPT_OSS, **dict(num_hidden_layers=3, hidden_size=36, intermediate_size=19, num_attention_heads=3, head_dim=24, sliding_window=5, num_local_experts=5, num_experts_per_tok=3, swiglu_alpha=0.9, swiglu_limit=0.3, router_aux_loss_coef=0.1, attention_bias=False, layer_types=["full_attention", "sliding_attention", "sliding_attention"], **YARN)}), lora(r=3, target_modules="all-linear", bias="all"), batches=MIXED),
    Case("gpt-oss-ties", "gpt_oss", model(**{**GPT_OSS, **dict(num_local_experts=3, rope_parameters=None)}), lora(target_modules=["q_proj", "o_proj"]), legacy=True),
    Case("gpt-oss-idle", "gpt_oss", model(**{**GPT_OSS, **dict(num_local_experts=24, num_experts_per_tok=1, intermediate_size=12, router_aux_loss_coef=0.0, tie_word_embeddings=True)}), lora(target_modules=["k_proj", "v_proj"])),
    Case("gpt-oss-experts", "gpt_oss", model(**GPT_OSS), lora(r=3, target_modules=["q_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])),
    Case("gpt-oss-experts-some", "gpt_oss", model(**{**GPT_OSS, **dict(num_hidden_layers=3, intermediate_size=32)}), lora(r=2, target_modules=r".*\.1\.self_attn\.o_proj", target_parameters=["1.mlp.experts.down_proj", "2.mlp.experts.gate_up_proj", "0.mlp.router.weight"], bias="all", alpha_pattern={r".*\.down_proj": 5})),
    Case("gpt-oss-apart", "gpt_oss", model(**{**GPT_OSS, **dict(hidden_size=64, intermediate_size=64)}), lora(r=3, target_modules=["q_proj", "o_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), apart=True),
    # a router's weight as a parameter: its bias counts among the adapted modules' (lora_only)
    Case("gpt-oss-router", "gpt_oss", model(**{**GPT_OSS, **dict(num_hidden_layers=1, intermediate_size=16)}), lora(r=2, target_modules=["q_proj"], target_parameters=["mlp.router.weight"], bias="lora_only")),
    Case("gpt-oss-saved", "gpt_oss", model(**GPT_OSS), lora(target_modules=["v_proj"], modules_to_save=["layers.0.mlp.experts", "router"])),
    # adapters
    Case("lora-rslora", "llama", model(), lora(r=8, lora_alpha=8, use_rslora=True)),
    Case("lora-all-linear", "llama", model(), lora(target_modules="all-linear")),
    Case("lora-attention-upper", "llama", model(), lora(target_modules=["q_proj", "v_proj"], layers_to_transform=[1])),
    Case("lora-regex", "llama", model(), lora(target_modules=r".*\.1\.(mlp\.down_proj|self_attn\.o_proj)")),
    Case("lora-bias-all", "llama", model(**BIASED), lora(target_modules=["q_proj", "up_proj"], bias="all")),
    Case("lora-bias-lora-only", "llama", model(**BIASED), lora(target_modules=["q_proj", "up_proj"], bias="lora_only")),
    Case("lora-lora-bias", "llama", model(**BIASED), lora(target_modules=["v_proj", "down_proj"], lora_bias=True)),
    Case("lora-head-embed", "llama", model(), lora(target_modules=["q_proj", "lm_head", "embed_tokens"])),
    Case("lora-head", "llama", model(), lora(target_modules=["v_proj", "lm_head"])),
    Case("lora-head-embed-tied", "llama", model(tie_word_embeddings=True), lora(target_modules=["q_proj", "lm_head", "embed_tokens"])),
    Case("lora-modules-to-save", "llama", model(), lora(target_modules=["o_proj", "gate_proj"], modules_to_save=["lm_head", "embed_tokens"])),
    Case("lora-modules-to-save-tied", "llama", model(tie_word_embeddings=True), lora(target_modules=["o_proj"], modules_to_save=["lm_head", "embed_tokens"])),
    # "norm" also ends the names of the blocks' layernorms: PEFT trains those too
    Case("lora-norm-to-save", "llama", model(), lora(target_modules=["k_proj"], modules_to_save=["norm"])),
    # rows of some tokens: of embedding and head at once, scaled as the family scales embeddings, one of them torch's padding_idx; of each by itself
    Case("lora-token-rows-padding", "gemma3_text", model(**{**GEMMA3, **dict(pad_token_id=25)}), lora(target_modules=["q_proj"], trainable_token_indices=[25, 7, 31])),
    Case("lora-token-rows-apart", "llama", model(), lora(target_modules=["v_proj"], trainable_token_indices={"lm_head": [9, 4], "embed_tokens": [25, 3, 4]})),
    # every weight
    Case("full", "llama", model(intermediate_size=40, **BIASED), None),
    Case("full-tied", "llama", model(tie_word_embeddings=True), None),
    # torch's padding_idx: that token's row of the embedding gets no gradient
    Case("full-padding", "llama", model(pad_token_id=25), None),
    Case("full-qwen2-tied", "qwen2", model(tie_word_embeddings=True), None),
    Case("full-qwen3", "qwen3", model(head_dim=24, intermediate_size=40), None),
    Case("full-gemma2", "gemma2", model(**GEMMA2), None),
    Case("full-gemma3", "gemma3_text", model(**{**GEMMA3, **dict(num_hidden_layers=3, sliding_window_pattern=2)}), None),
    Case("full-gemma3-whole", "gemma3", GEMMA3_WHOLE, None),
    Case("full-smollm3", "smollm3", model(no_rope_layer_interval=2), None),
    Case("full-phi3", "phi3", model(**LONG, pad_token_id=25), None, batches=MIXED),
    Case("full-deepseek-v3", "deepseek_v3", model(**LATENT, attention_bias=True, pad_token_id=25, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, mscale=0.5, mscale_all_dim=1.0)), None),
    Case("full-deepseek-v2", "deepseek_v2", model(**{**LATENT_V2, **dict(first_k_dense_replace=0)}, **rope("yarn", 1000.0, factor=4.0, original_max_position_embeddings=64, mscale=0.5, mscale_all_dim=1.0)), None),
    Case("full-deepseek-v3-experts", "deepseek_v3", model(**{**LATENT, **dict(first_k_dense_replace=0, n_routed_experts=8, n_group=2, num_experts_per_tok=2)}), None),
    # queries and the latent come of x by weights without a gap between them: one product, of whose columns the latent's parts are parts
    Case("full-deepseek-v3-plain-q", "deepseek_v3", model(**{**LATENT, **dict(q_lora_rank=None, first_k_dense_replace=1)}), None),
    Case("full-gpt-oss", "gpt_oss", model(**{**GPT_OSS, **dict(layer_types=None)}), None, batches=[[1, 3], [0, 2]]),
    Case("full-mistral", "mistral", model(sliding_window=12), None),
    Case("full-mixtral", "mixtral", model(**MIXTRAL), None, batches=[[1, 3], [0, 2]]),
    Case("full-qwen3-moe", "qwen3_moe", model(num_hidden_layers=3, mlp_only_layers=[1], norm_topk_prob=True, **QWEN3_MOE), None),
]
