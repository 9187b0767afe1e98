"""Tiny models of other families than Llama in GGUF as llama.cpp's converter lays them out, and every tensor as transformers has it.

  python tools/oracle/gguf_families.py OUT

  NAME.gguf   tensors in f16 (norms in f32), named by the gguf package's own map; no tokenizer
  NAME.json   config keys and sha256 of every tensor (f32): gemma2 as transformers loads the file, smollm3, phi3 and the mixtures (of which transformers
              reads nothing, no LongRoPE, or part) as they were before they were written"""
import argparse
import hashlib
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DeepseekV2Config, DeepseekV3Config, Gemma2Config, Gemma3TextConfig, GptOssConfig, MixtralConfig, Phi3Config, Qwen3MoeConfig, SmolLM3Config

ARCH = {
    "gemma2": gguf.MODEL_ARCH.GEMMA2, "gemma3": gguf.MODEL_ARCH.GEMMA3, "gemma3-global": gguf.MODEL_ARCH.GEMMA3, "smollm3": gguf.MODEL_ARCH.SMOLLM3,
    "phi3": gguf.MODEL_ARCH.PHI3, "phi3-plain": gguf.MODEL_ARCH.PHI3, "mixtral": gguf.MODEL_ARCH.LLAMA, "qwen3moe": gguf.MODEL_ARCH.QWEN3MOE,
    "gpt-oss": gguf.MODEL_ARCH.GPT_OSS, "gpt-oss-f16": gguf.MODEL_ARCH.GPT_OSS,
    "mixtral-apart": gguf.MODEL_ARCH.LLAMA, "deepseek2-v3": gguf.MODEL_ARCH.DEEPSEEK2, "deepseek2-v3-whole": gguf.MODEL_ARCH.DEEPSEEK2,
    "deepseek2-v2": gguf.MODEL_ARCH.DEEPSEEK2, "deepseek2-v2-whole": gguf.MODEL_ARCH.DEEPSEEK2,
}
SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
             rms_norm_eps=1e-6, pad_token_id=0, bos_token_id=2, eos_token_id=1)
LATENT = SIZES | dict(num_key_value_heads=4, num_hidden_layers=3, first_k_dense_replace=1, q_lora_rank=20, kv_lora_rank=24, qk_nope_head_dim=6,
                      qk_rope_head_dim=8, v_head_dim=10, n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=12)
MODELS = {
    "gemma2": Gemma2Config(num_hidden_layers=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=24, attn_logit_softcapping=40.0,
                           final_logit_softcapping=20.0, **SIZES),
    "gemma3": Gemma3TextConfig(num_hidden_layers=7, head_dim=16, query_pre_attn_scalar=16, sliding_window=24, final_logit_softcapping=20.0,
                               rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 3e4},
                                                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}, **SIZES),
    # every layer over all tokens: the converter writes no window then
    "gemma3-global": Gemma3TextConfig(num_hidden_layers=2, head_dim=16, query_pre_attn_scalar=16, sliding_window_pattern=1, **SIZES),
    "smollm3": SmolLM3Config(num_hidden_layers=4, rope_theta=5e6, **SIZES),
    # heads of 16 channels, of which 12 turn
    "phi3": Phi3Config(num_hidden_layers=2, original_max_position_embeddings=32, tie_word_embeddings=True, sliding_window=512,
                       partial_rotary_factor=0.75, rope_scaling=dict(type="longrope", short_factor=[1.0, 1.05, 1.2, 1.5, 2.0, 2.5],
                       long_factor=[1.0, 1.4, 2.3, 4.0, 7.0, 9.0]), **(SIZES | dict(hidden_size=64))),
    "phi3-plain": Phi3Config(num_hidden_layers=1, original_max_position_embeddings=128, sliding_window=20, rope_theta=250000.0, **SIZES),
    "mixtral": MixtralConfig(num_hidden_layers=2, num_local_experts=5, num_experts_per_tok=3, head_dim=8, sliding_window=24, rope_theta=1e6, **SIZES),
    "qwen3moe": Qwen3MoeConfig(num_hidden_layers=2, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=12, norm_topk_prob=True, rope_theta=1e6, head_dim=16, **SIZES),
    # experts packed as on the Hub, and in floats
    "gpt-oss": GptOssConfig(num_hidden_layers=2, num_local_experts=3, num_experts_per_tok=2, head_dim=16, sliding_window=24, rope_theta=150000.0,
                            rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, truncate=False), **(SIZES | dict(intermediate_size=64))),
    "gpt-oss-f16": GptOssConfig(num_hidden_layers=1, num_local_experts=4, num_experts_per_tok=2, head_dim=8, sliding_window=24, attention_bias=False,
                                rope_parameters=dict(rope_type="default", rope_theta=1e4), **SIZES),
    # as files before April 2024 have it: each expert by itself
    "mixtral-apart": MixtralConfig(num_hidden_layers=1, num_local_experts=3, num_experts_per_tok=2, head_dim=8, sliding_window=None, rope_theta=1e6, **SIZES),
    # kv_b_proj by heads, groups, YaRN
    "deepseek2-v3": DeepseekV3Config(n_group=3, topk_group=2, n_shared_experts=1, routed_scaling_factor=2.5, rope_theta=10000.0,
                                     rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=16, beta_slow=2, mscale=0.707, mscale_all_dim=0.707), **LATENT),
    # as files before April 2025 have it: kv_b_proj whole, nothing of groups
    "deepseek2-v3-whole": DeepseekV3Config(n_group=1, topk_group=1, n_shared_experts=2, routed_scaling_factor=1.0, norm_topk_prob=False, rope_theta=5e4, **(LATENT | dict(q_lora_rank=None))),
    "deepseek2-v2": DeepseekV2Config(topk_method="group_limited_greedy", n_group=3, topk_group=2, n_shared_experts=2, routed_scaling_factor=16.0, rope_theta=10000.0,
                                     rope_scaling=dict(type="yarn", factor=40.0, original_max_position_embeddings=32, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0), **LATENT),
    # nothing of how scores are made either
    "deepseek2-v2-whole": DeepseekV2Config(topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2, routed_scaling_factor=1.0, rope_theta=10000.0, **(LATENT | dict(q_lora_rank=None))),
}
# what an expert's linears are called in files that have each by itself
EXPERTS = {"mixtral": ("block_sparse_moe", "w1", "w3", "w2"), "qwen3_moe": ("mlp", "gate_proj", "up_proj", "down_proj"), "deepseek_v2": ("mlp", "gate_proj", "up_proj", "down_proj"), "deepseek_v3": ("mlp", "gate_proj", "up_proj", "down_proj")}


OWN = {
    "gemma2": ["head_dim", "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window"],
    "gemma3": ["head_dim", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window", "sliding_window_pattern", "rope_theta", "rope_local_base_freq", "rope_scaling"],
    "smollm3": ["no_rope_layer_interval"],
    "phi3": ["original_max_position_embeddings", "partial_rotary_factor", "sliding_window", "rope_scaling"],
    "phi3-plain": ["original_max_position_embeddings", "sliding_window"],
    "mixtral": ["num_local_experts", "num_experts_per_tok", "sliding_window"],
    "gpt-oss": ["head_dim", "num_local_experts", "num_experts_per_tok", "sliding_window", "attention_bias", "rope_scaling", "rope_theta"],
    "qwen3moe": ["head_dim", "num_experts", "num_experts_per_tok", "moe_intermediate_size", "norm_topk_prob"],
    "deepseek2": ["first_k_dense_replace", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "n_routed_experts", "num_experts_per_tok",
                  "moe_intermediate_size", "n_shared_experts", "routed_scaling_factor", "norm_topk_prob", "n_group", "topk_group", "rope_theta", "rope_scaling"],
}


def digest(x) -> str:
    return hashlib.sha256(np.ascontiguousarray(np.asarray(x, dtype=np.float32)).tobytes()).hexdigest()


def attention_factor(config) -> float:
    """of the cosines and sines, as transformers infers it and llama.cpp's converter writes it"""
    return (1 + np.log(config.max_position_embeddings / config.original_max_position_embeddings) / np.log(config.original_max_position_embeddings)) ** 0.5


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """Row order within each head as llama.cpp's rotation of pairs wants it: (0, half, 1, half + 1, …)."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def write_turned(writer, names, key: str, value: torch.Tensor, name: str) -> np.ndarray:
    """gpt-oss's experts: gate and up apart, matrices (out, in); what comes back is as transformers has it."""
    bias = key.endswith("_bias")
    before, linear = key.removesuffix("_bias").split(".experts.")
    matrices = value if bias else value.transpose(1, 2)
    parts = {"gate_proj": matrices[:, ::2], "up_proj": matrices[:, 1::2]} if linear == "gate_up_proj" else {linear: matrices}
    kind = gguf.GGMLQuantizationType.F32 if bias else gguf.GGMLQuantizationType.F16 if name.endswith("f16") else gguf.GGMLQuantizationType.MXFP4
    stored = []
    for part, one in parts.items():
        data = gguf.quants.quantize(np.ascontiguousarray(one.numpy(), dtype=np.float32), kind)
        writer.add_tensor(names.get_name(f"{before}.experts.{part}") + (".bias" if bias else ".weight"), data, raw_dtype=kind)
        stored.append(torch.from_numpy(gguf.quants.dequantize(data, kind).reshape(one.shape)))
    woven = torch.stack(stored, dim=2).reshape(matrices.shape)  # channels by turns
    return (woven if bias else woven.transpose(1, 2)).numpy()


def add_latent(writer: gguf.GGUFWriter, config, whole: bool) -> None:
    """keys of DeepSeek's architecture; `whole`: kv_b_proj is one tensor, and sizes of heads are those of any model"""
    writer.add_head_count_kv(config.num_attention_heads if whole else 1)
    writer.add_leading_dense_block_count(config.first_k_dense_replace)
    if config.q_lora_rank:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_kv_lora_rank(config.kv_lora_rank)
    key, value = config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    if whole:
        writer.add_key_length(key)
        writer.add_value_length(value)
    else:
        writer.add_key_length(config.kv_lora_rank + config.qk_rope_head_dim)
        writer.add_value_length(config.kv_lora_rank)
        writer.add_key_length_mla(key)
        writer.add_value_length_mla(value)
        writer.add_expert_group_count(config.n_group)
        writer.add_expert_group_used_count(config.topk_group)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)
    writer.add_expert_count(config.n_routed_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_shared_count(config.n_shared_experts)
    writer.add_expert_weights_scale(config.routed_scaling_factor)
    if config.norm_topk_prob:
        writer.add_expert_weights_norm(True)
    if config.model_type == "deepseek_v3" or not whole:
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if config.model_type == "deepseek_v3" else gguf.ExpertGatingFuncType.SOFTMAX)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def by_head(value: np.ndarray, config) -> dict[str, np.ndarray]:
    """kv_b_proj as its keys, transposed, and its values, of each head"""
    heads = value.reshape(config.num_attention_heads, -1, value.shape[1])
    return {"k_b_proj": np.ascontiguousarray(heads[:, : config.qk_nope_head_dim].swapaxes(1, 2)), "v_b_proj": heads[:, config.qk_nope_head_dim :]}


def write(path: Path, name: str, config) -> dict:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    gemma = name.startswith("gemma")
    phi = config.model_type == "phi3"
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[ARCH[name]])
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    latent = config.model_type.startswith("deepseek")
    if not latent:
        writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    for kind in ("bos", "eos", "pad"):
        getattr(writer, f"add_{kind}_token_id")(getattr(config, f"{kind}_token_id"))
    if latent:
        add_latent(writer, config, name.endswith("-whole"))
    elif gemma:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        if config.attn_logit_softcapping:
            writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        if config.final_logit_softcapping:
            writer.add_final_logit_softcapping(config.final_logit_softcapping)
        if "sliding_attention" in config.layer_types:
            writer.add_sliding_window(config.sliding_window)
        if name.startswith("gemma3"):
            full = config.rope_parameters["full_attention"]
            writer.add_rope_freq_base(full["rope_theta"])
            if full["rope_type"] == "linear":
                writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
                writer.add_rope_scaling_factor(full["factor"])
    elif phi:
        rope = config.rope_parameters
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config.hidden_size) // config.num_attention_heads)
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_sliding_window(config.sliding_window or 0)
        if rope["rope_type"] == "longrope":
            writer.add_rope_scaling_attn_factors(attention_factor(config))
            for kind in ("long", "short"):
                writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))
    else:
        writer.add_rope_dimension_count(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if config.model_type == "gpt_oss":
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_sliding_window(config.sliding_window)
        writer.add_expert_feed_forward_length(config.intermediate_size)
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        if config.rope_parameters["rope_type"] == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(config.rope_parameters["factor"])
            writer.add_rope_scaling_orig_ctx_len(config.rope_parameters["original_max_position_embeddings"])
    if config.model_type in EXPERTS and not latent:
        writer.add_expert_count(config.num_local_experts if config.model_type == "mixtral" else config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        if name == "qwen3moe":
            writer.add_expert_feed_forward_length(config.moe_intermediate_size)
            writer.add_key_length(config.head_dim)
            writer.add_value_length(config.head_dim)
        elif config.sliding_window:
            writer.add_sliding_window(config.sliding_window)
    f16 = gguf.GGMLQuantizationType.F16
    names = gguf.get_tensor_name_map(ARCH[name], config.num_hidden_layers)
    state = {}
    for key, value in model.state_dict().items():
        if ".mlp.experts." in key and config.model_type == "gpt_oss":
            state[key] = write_turned(writer, names, key, torch.randn(value.shape) * 0.1 if key.endswith("_bias") else value, name)
            continue
        if ".mlp.experts." in key:
            before, part = key.split(".mlp.experts.")
            block, gate, up, down = EXPERTS[config.model_type]
            parts = zip((gate, up), value.chunk(2, dim=1)) if part == "gate_up_proj" else [(down, value)]
            for linear, one in parts:
                stored = one.half().float().numpy()
                stack = names.get_name(f"{before}.{block}.experts.{linear}")
                if not name.endswith("-apart"):
                    writer.add_tensor(f"{stack}.weight", gguf.quants.quantize(stored, f16), raw_dtype=f16)
                for e in range(len(stored)):
                    if name.endswith("-apart"):
                        writer.add_tensor(f"{stack.removesuffix('_exps')}.{e}.weight", gguf.quants.quantize(stored[e], f16), raw_dtype=f16)
                    state[f"{before}.{block}.experts.{e}.{linear}.weight"] = stored[e]
            continue
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if value.ndim == 1:
            value = torch.randn(value.shape) * 0.1 + (0 if gemma else 1)
            stored = (value + 1 if gemma else value).numpy()
            state[key] = stored - np.float32(1) if gemma else stored
        else:
            stored = value.half().float().numpy()
            state[key.replace(".mlp.gate.", ".block_sparse_moe.gate.") if config.model_type == "mixtral" else key] = stored
        if "kv_b_proj" in key and not name.endswith("-whole"):
            for part, one in by_head(stored, config).items():
                writer.add_tensor(names.get_name(key.replace("kv_b_proj", part), try_suffixes=(".weight",)), gguf.quants.quantize(one, f16), raw_dtype=f16)
            continue
        heads = config.num_attention_heads if ".q_proj" in key else config.num_key_value_heads if ".k_proj" in key else 0
        if heads and not gemma and not latent and name != "qwen3moe" and config.model_type != "gpt_oss":  # none of phi3's fused linears: llama.cpp turns halves there
            stored = permute(stored, heads)
        kind = gguf.GGMLQuantizationType.F32 if value.ndim == 1 else f16
        # a tensor that is no module's weight is written as one
        named = f"{key}.weight" if key.endswith("sinks") else key.replace("e_score_correction_bias", "e_score_correction.bias")
        writer.add_tensor(names.get_name(named, try_suffixes=(".weight", ".bias")), gguf.quants.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, config in MODELS.items():
        state = write(out / f"{name}.gguf", name, config)
        if name.startswith("gemma"):
            loaded = AutoModelForCausalLM.from_pretrained(out, gguf_file=f"{name}.gguf", dtype=torch.float32).state_dict()
            state = {key: loaded[key].numpy() for key in state}
            read = AutoConfig.from_pretrained(out, gguf_file=f"{name}.gguf").to_dict()
            # transformers takes every sixth layer for one over all tokens, leaves the caps and rotations at their defaults, where the file says them, and eps as the f32 it is stored in
            read |= {key: getattr(config, key) for key in ("attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "sliding_window", "rms_norm_eps")}
            if name.startswith("gemma3"):
                full = config.rope_parameters["full_attention"]
                scaling = {"rope_type": "linear", "factor": int(full["factor"])} if full["rope_type"] == "linear" else None
                read |= dict(rope_theta=int(full["rope_theta"]), rope_local_base_freq=10000, rope_scaling=scaling, sliding_window_pattern=config._sliding_window_pattern)
        else:
            read = config.to_dict()
        if name == "qwen3moe":
            read["num_experts"] = config.num_experts  # to_dict has it by another name
        if config.model_type == "gpt_oss":
            rope = config.rope_parameters
            read |= dict(rope_theta=int(rope["rope_theta"]))
            read["rope_scaling"] = dict(rope_type="yarn", factor=4, original_max_position_embeddings=32, truncate=False) if rope["rope_type"] == "yarn" else dict(rope_type="default")
        if name.startswith("deepseek2"):
            # as checkpoints before transformers 5 say it; what is whole has no fraction in the file
            rope = read["rope_parameters"]
            read["rope_theta"] = int(rope["rope_theta"])
            keys = "rope_type factor original_max_position_embeddings beta_fast beta_slow mscale mscale_all_dim".split()
            read["rope_scaling"] = {key: int(rope[key]) if rope[key] == int(rope[key]) else rope[key] for key in keys if key != "rope_type"} | {"rope_type": "yarn"} if "factor" in rope else None
        if name == "phi3":
            # as checkpoints before transformers 5 say it; numbers as the file has them: f32
            f32 = lambda values: [np.float32(x).item() for x in values]
            rope = config.rope_parameters
            read["rope_scaling"] = dict(type="longrope", attention_factor=float(np.format_float_positional(np.float32(attention_factor(config)), unique=True)),
                                        short_factor=f32(rope["short_factor"]), long_factor=f32(rope["long_factor"]))
            read["partial_rotary_factor"] = rope["partial_rotary_factor"]
            read["sliding_window"] = None  # longer than any row
        keys = "model_type hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads max_position_embeddings rms_norm_eps vocab_size tie_word_embeddings bos_token_id eos_token_id pad_token_id".split()
        keys += ["topk_method"] if config.model_type == "deepseek_v2" else []
        keys += OWN[name] if name in OWN else OWN["deepseek2"] if name.startswith("deepseek2") else OWN[name.rsplit("-", 1)[0]]
        kept = {key: read[key] for key in keys if read[key] is not None or key.endswith("softcapping") or not name.startswith("gemma") and key != "rope_scaling"}
        text = json.dumps(dict(config=kept, tensors={key: digest(value) for key, value in state.items()}), indent=2)
        (out / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
