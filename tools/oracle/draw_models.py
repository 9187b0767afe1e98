"""Tiny models of every family with random weights, for runs that are drawn at random (tools/prove-draws.ts).

  python tools/oracle/draw_models.py OUT FOLDER_OF_A_TOKENIZER [--half]

--half: stored in bf16, as models are, and with widths that 64 divides, as bitsandbytes needs them; else in f32 with odd ones.
"""
import argparse
import shutil
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

VOCAB = 192
LLAMA3 = dict(rope_type="llama3", rope_theta=5e5, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)


def cases(half: bool) -> dict[str, tuple[str, dict]]:
    """Name: model_type, and what its configuration says beside the widths. Caps, windows, groups and balance losses that bite."""
    wide, narrow, expert = (64, 128, 64) if half else (48, 80, 40)
    dense = dict(hidden_size=wide, intermediate_size=narrow, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
    windows = dict(head_dim=16, query_pre_attn_scalar=20, sliding_window=6)
    latent = 64 if half else 24
    return {
        "llama": ("llama", dense),
        "llama-tied-bias": ("llama", dict(dense, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, num_key_value_heads=4, rope_parameters=LLAMA3)),
        "mistral": ("mistral", dict(dense, sliding_window=7, head_dim=16)),
        "qwen2": ("qwen2", dict(dense, tie_word_embeddings=True)),
        "qwen3": ("qwen3", dict(dense, head_dim=32 if half else 24)),
        "smollm3": ("smollm3", dict(dense, num_hidden_layers=4, no_rope_layer_interval=2)),
        "gemma2": ("gemma2", dict(dense, **windows, attn_logit_softcapping=8.0, final_logit_softcapping=5.0)),
        "gemma3": ("gemma3_text", dict(dense, **windows, num_hidden_layers=3, layer_types=["sliding_attention", "sliding_attention", "full_attention"])),
        "phi3": ("phi3", dict(dense, sliding_window=None, partial_rotary_factor=0.75, num_attention_heads=4 if half else 3, num_key_value_heads=4 if half else 3)),
        "mixtral": ("mixtral", dict(dense, num_local_experts=5, num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.05)),
        "qwen3-moe": ("qwen3_moe", dict(dense, head_dim=16, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=expert, norm_topk_prob=True, output_router_logits=True, router_aux_loss_coef=0.02)),
        "gpt-oss": ("gpt_oss", dict(dense, head_dim=16, intermediate_size=64 if half else 48, num_local_experts=4, num_experts_per_tok=2, sliding_window=6, layer_types=["sliding_attention", "full_attention"], rope_parameters=dict(rope_type="default", rope_theta=10000.0))),
        "deepseek-v3": ("deepseek_v3", dict(
            hidden_size=wide, intermediate_size=narrow, moe_intermediate_size=64 if half else 32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
            n_shared_experts=1, n_routed_experts=8, routed_scaling_factor=1.5, kv_lora_rank=latent, q_lora_rank=latent, qk_rope_head_dim=16, v_head_dim=16,
            qk_nope_head_dim=16, n_group=4, topk_group=2, num_experts_per_tok=3, first_k_dense_replace=1, norm_topk_prob=True, max_position_embeddings=256,
        )),
    }  # fmt: skip


def fill(model):
    """Weights large enough that tokens differ."""
    for name, p in model.named_parameters():
        if "norm" in name:
            p.add_(0.1 * torch.randn_like(p))
        else:
            p.normal_(0, 0.15 if p.dim() > 1 else 0.1)
    for name, b in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            b.normal_(0, 0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--half", action="store_true")
    args = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    for i, (name, (family, config)) in enumerate(cases(args.half).items()):
        torch.manual_seed(i)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=0, **config))
        with torch.no_grad():
            fill(model)
        (model.bfloat16() if args.half else model.float()).save_pretrained(args.out / name)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(args.tokenizer / file, args.out / name / file)


if __name__ == "__main__":
    main()
