"""What transformers makes of config.json: every key that its configuration classes know, and the rotary frequencies of configs that
say them in different ways. test/models/configs.test.ts holds src/models against both.

    python tools/oracle/configs.py OUT        # OUT/keys.json, OUT/rope.json, OUT/ropes.json, OUT/rope-phi3.json, OUT/rope-deepseek.json, OUT/rope-gpt-oss.json, OUT/windows.json
"""

import dataclasses
import json
from pathlib import Path

import torch
import transformers
from arguments import argument
from transformers import AutoConfig, AutoModelForCausalLM, DeepseekV2Config, DeepseekV3Config, Gemma2Config, Gemma3Config, Gemma3TextConfig, GenerationConfig, GptOssConfig, LlamaConfig, MistralConfig, MixtralConfig, Phi3Config, Qwen2Config, Qwen3Config, Qwen3MoeConfig, SmolLM3Config
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Attention, DeepseekV3RotaryEmbedding
from transformers.models.gemma3.modeling_gemma3 import Gemma3RotaryEmbedding
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

transformers.logging.set_verbosity_error()

FAMILIES = (LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, Gemma2Config, Gemma3TextConfig, Gemma3Config, SmolLM3Config, Phi3Config, MixtralConfig, Qwen3MoeConfig, DeepseekV2Config, DeepseekV3Config, GptOssConfig)
# read by a class of what is left, under names of older files
OLDER = {Gemma3TextConfig: {"sliding_window_pattern": 6, "rope_local_base_freq": 10000.0}}
# read from what is left of config.json after the classes' fields (PreTrainedConfig.__post_init__, convert_rope_params_to_dict, modeling_utils,
# masking_utils)
OTHERS = (
    "model_type torch_dtype num_labels rope_scaling rope_theta partial_rotary_factor original_max_position_embeddings name_or_path _commit_hash "
    "output_attentions attn_implementation experts_implementation per_layer_config is_causal transformers_weights quantization_config"
).split()

SIZE = {"hidden_size": 32, "num_attention_heads": 2, "head_dim": 16, "max_position_embeddings": 256}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
DEFAULT = {"rope_type": "default", "rope_theta": 500.0}

ROPE = (
    {},
    {"rope_theta": 500.0},
    {"rope_theta": None},
    {"rope_parameters": DEFAULT},
    {"rope_parameters": DEFAULT, "rope_theta": 700.0},
    {"rope_parameters": DEFAULT, "rope_scaling": YARN},
    {"rope_parameters": DEFAULT, "rope_scaling": {}},
    {"rope_parameters": DEFAULT, "rope_scaling": None},
    {"rope_parameters": DEFAULT, "rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 700.0},
    {"rope_parameters": YARN, "rope_scaling": {"rope_type": "default"}},
    {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_theta": 700.0},
    {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    {"rope_scaling": {"type": "dynamic"}},
    {"rope_scaling": {"type": "linear"}},
    {"rope_parameters": {"rope_type": None, "rope_theta": 500.0}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": None}},
    {"rope_parameters": {"rope_type": "none"}},
    {"partial_rotary_factor": 0.5},
    {"partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": LLAMA3},
    {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 64}},
    {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 64}, "original_max_position_embeddings": 128},
    {"rope_scaling": YARN},
    {"rope_scaling": YARN, "original_max_position_embeddings": 32},
    {"rope_scaling": YARN | {"factor": None}},
    {"rope_scaling": YARN | {"truncate": False}},
    {"rope_scaling": YARN | {"truncate": None}},
    {"rope_scaling": YARN | {"beta_fast": 0, "beta_slow": None}},
    {"rope_scaling": YARN | {"beta_fast": 16, "beta_slow": 2}},
    {"rope_scaling": YARN | {"attention_factor": 0.7}},
    {"rope_scaling": YARN | {"attention_factor": None, "mscale": 0.7, "mscale_all_dim": 0.5}},
    {"rope_scaling": YARN | {"mscale": 0.7}},
    # as others' users met them: a factor that says 1, or says it by another name; a base said twice, or in one place alone
    {"rope_scaling": YARN | {"attention_factor": 1.0}},
    {"rope_parameters": YARN | {"attention_factor": 1.0, "rope_theta": 500.0}},
    {"rope_scaling": YARN | {"attn_factor": 0.8782488562869419}},
    {"rope_scaling": YARN | {"mscale_all_dim": 1.0}},
    {"rope_parameters": DEFAULT, "rope_theta": 10000.0},
    {"rope_parameters": {"rope_type": "default"}, "rope_theta": 500.0},
    {"rope_parameters": {"rope_theta": 500.0}},
    {"rope_parameters": YARN, "rope_theta": 500.0},
    {"rope_scaling": YARN | {"rope_theta": 500.0}, "rope_theta": 10000.0},
    {"rope_scaling": {"type": "yarn", "rope_type": "linear", "factor": 2.0}},
    {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
)


GEMMA3 = {"full_attention": DEFAULT, "sliding_attention": {"rope_type": "default", "rope_theta": 70.0}}
LINEAR = {"rope_type": "linear", "factor": 8.0}
ROPES = (
    {},
    {"rope_theta": 500.0},
    {"rope_local_base_freq": 70.0},
    {"rope_theta": 500.0, "rope_local_base_freq": 70.0, "rope_scaling": LINEAR},
    {"rope_scaling": {"type": "linear", "factor": 8.0}},
    {"rope_scaling": None, "rope_parameters": None},
    {"rope_scaling": {}},
    {"rope_theta": None},
    {"rope_local_base_freq": None},
    {"rope_parameters": GEMMA3},
    {"rope_parameters": GEMMA3, "rope_theta": 900.0, "rope_local_base_freq": 900.0},
    {"rope_parameters": GEMMA3, "rope_scaling": LINEAR},
    {"rope_parameters": GEMMA3, "rope_scaling": {}},
    {"rope_parameters": {"full_attention": LINEAR, "sliding_attention": None}, "rope_theta": 500.0},
    {"rope_parameters": {"sliding_attention": LINEAR}, "rope_local_base_freq": 70.0},
    {"rope_parameters": {"full_attention": {"type": "linear", "factor": 8.0}, "sliding_attention": {}}},
    {"rope_parameters": {"full_attention": {"rope_type": None}, "sliding_attention": {}}},
    {"rope_parameters": {"full_attention": {"rope_type": "linear"}}},
    {"rope_parameters": {"full_attention": LLAMA3, "sliding_attention": YARN}},
    {"rope_parameters": {"full_attention": LLAMA3 | {"original_max_position_embeddings": 64}}, "original_max_position_embeddings": 128},
    {"rope_scaling": YARN, "original_max_position_embeddings": 32},
    {"rope_scaling": YARN | {"factor": None}},
    {"rope_scaling": LINEAR, "partial_rotary_factor": 0.5},
    {"partial_rotary_factor": 0.5},
)
# Phi 3's own: heads of 16 channels, of which 12 turn where 0.75 is said
SHORT, LONG = [1.0, 1.05, 1.2, 1.5, 2.0, 2.5], [1.0, 1.4, 2.3, 4.0, 7.0, 9.0]
FACTORS = {"short_factor": SHORT, "long_factor": LONG}
WHOLE = {"short_factor": [*SHORT, 3.0, 4], "long_factor": [*LONG, 12.0, 20]}
PARTIAL = {"partial_rotary_factor": 0.75}
PHI3 = (
    {},
    {"rope_scaling": None, "rope_theta": 250000.0, "original_max_position_embeddings": 256},
    PARTIAL,
    {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
    {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary_factor": 0.75},
    {"rope_scaling": {"type": "longrope"} | WHOLE},
    {"rope_scaling": {"type": "longrope"} | WHOLE, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "su"} | WHOLE, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "su", "original_max_position_embeddings": 32} | WHOLE, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "yarn"} | WHOLE, "original_max_position_embeddings": 64},
    # the class's 4096 counts before what the rope parameters say
    {"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 64} | WHOLE},
    {"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 32} | WHOLE, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "longrope"} | FACTORS, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope", "factor": 32.0} | FACTORS, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope", "factor": None, "attention_factor": None} | FACTORS, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope", "attention_factor": 1.3} | FACTORS, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope"} | WHOLE, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope"} | FACTORS, "original_max_position_embeddings": 64},
    {"rope_scaling": {"type": "longrope", "short_factor": SHORT}, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "longrope", "short_factor": 1.0, "long_factor": LONG}, "original_max_position_embeddings": 64} | PARTIAL,
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_scaling": LLAMA3},
)
# DeepSeek's attention has a scale that its rotation's parameters say too
MSCALE = YARN | {"mscale": 0.7, "mscale_all_dim": 0.5}
DEEPSEEK = (
    {},
    {"rope_scaling": YARN},
    {"rope_scaling": MSCALE},
    {"rope_scaling": MSCALE | {"mscale_all_dim": 0}},
    {"rope_scaling": MSCALE | {"mscale_all_dim": None}},
    {"rope_scaling": MSCALE | {"mscale": 0}},
    {"rope_scaling": MSCALE | {"factor": 1.0}},
    {"rope_scaling": MSCALE | {"factor": None}},
    {"rope_scaling": MSCALE | {"attention_factor": 1.2}},
    {"rope_parameters": MSCALE | {"rope_theta": 500.0}},
    {"rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 64}},
    {"rope_scaling": {"rope_type": "linear", "factor": 2.0, "mscale_all_dim": 1.0}},
    {"rope_scaling": {"rope_type": "default", "factor": 2.0, "mscale_all_dim": 1.0}},
    {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 64, "mscale_all_dim": 2.0}},
    {"rope_scaling": {"rope_type": "default", "mscale_all_dim": 1.0}},
)
# gpt-oss has a scaling where the file says none
GPT_OSS = (
    {},
    {"rope_theta": 500.0},
    {"rope_scaling": None, "rope_parameters": None},
    {"rope_scaling": {}},
    {"rope_parameters": {}},
    {"rope_parameters": {}, "rope_scaling": {}},
    {"rope_parameters": DEFAULT},
    {"rope_parameters": YARN},
    {"rope_scaling": {"rope_type": "default"}},
    {"rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": False}, "rope_theta": 150000},
    {"rope_scaling": YARN | {"truncate": False, "beta_fast": 2.0}},
)

# which layers look back over a window, and how far
WINDOW = {"use_sliding_window": True, "sliding_window": 9}
KINDS = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
WINDOWS = (
    ("qwen2", {"sliding_window": 9, "max_window_layers": 0}),
    ("qwen2", WINDOW | {"max_window_layers": 4}),
    ("qwen2", WINDOW | {"max_window_layers": 0}),
    ("qwen2", WINDOW | {"max_window_layers": 1}),
    ("qwen2", WINDOW),
    ("qwen2", WINDOW | {"layer_types": KINDS}),
    ("qwen2", {"use_sliding_window": True}),
    ("qwen3", {"sliding_window": 9}),
    ("qwen3", WINDOW),
    ("qwen3", WINDOW | {"max_window_layers": 2}),
    ("qwen3", {"use_sliding_window": False, "sliding_window": 9, "max_window_layers": 0}),
    ("qwen3_moe", WINDOW | {"max_window_layers": 0}),
    ("smollm3", WINDOW),
    ("smollm3", WINDOW | {"no_rope_layer_interval": 2}),
    ("smollm3", WINDOW | {"layer_types": KINDS}),
    ("gpt_oss", {"sliding_window": 9}),
    ("gpt_oss", {"sliding_window": 9, "layer_types": KINDS}),
    ("gemma2", {"sliding_window": 9}),
    ("gemma2", {"sliding_window": 9, "layer_types": KINDS}),
    ("gemma3_text", {"sliding_window": 9}),
    ("gemma3_text", {"sliding_window": 9, "sliding_window_pattern": 2}),
    ("gemma3_text", {"sliding_window": 9, "layer_types": KINDS}),
    ("mistral", {"sliding_window": 9}),
    ("mistral", {"sliding_window": None}),
    ("mixtral", {"sliding_window": 9}),
    ("mixtral", {}),
    ("phi3", {"sliding_window": 9}),
    ("phi3", {}),
)


def keys(config):
    return {
        field.name: None if callable(field.default) or field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(config)
    }


def rope(given):
    """inv_freq and attention factor; null where transformers fails, or rotates fewer channels than a head has (which fails in the forward)."""
    try:
        made = LlamaRotaryEmbedding(LlamaConfig(**SIZE, **json.loads(json.dumps(given))))
    except Exception:
        return None
    if len(made.inv_freq) != SIZE["head_dim"] // 2:
        return None
    return {"inv_freq": made.inv_freq.tolist(), "attention_factor": made.attention_scaling}


def ropes(given):
    """The same of a model with a rotation for each kind of layer."""
    kinds = ("full_attention", "sliding_attention")
    try:
        config = Gemma3TextConfig(**SIZE, **json.loads(json.dumps(given)), num_hidden_layers=2, layer_types=[*kinds])
        made = Gemma3RotaryEmbedding(config)
    except Exception:
        return None
    found = {kind: {"inv_freq": getattr(made, f"{kind}_inv_freq").tolist(), "attention_factor": getattr(made, f"{kind}_attention_scaling")} for kind in kinds}
    return found if all(len(one["inv_freq"]) == SIZE["head_dim"] // 2 for one in found.values()) else None


def rope_phi3(given):
    """Both lists of frequencies, the length they change at (null: one list) and the attention factor; null where transformers fails."""
    try:
        config = Phi3Config(**SIZE, **json.loads(json.dumps(given)))
        made = Phi3RotaryEmbedding(config)
        made(torch.zeros(1), torch.arange(8)[None])
        long, beyond = None, None
        if made.rope_type == "longrope":
            beyond = config.rope_parameters["original_max_position_embeddings"]
            made(torch.zeros(1), torch.arange(beyond + 1)[None])
            long = made.inv_freq.tolist()
            made(torch.zeros(1), torch.arange(beyond)[None])
    except Exception:
        return None
    return {"inv_freq": made.inv_freq.tolist(), "long": long, "beyond": beyond, "attention_factor": made.attention_scaling}


def rope_deepseek(given):
    """inv_freq and attention factor of heads of which 16 channels turn, and the scale of scores over 24; null where transformers fails."""
    size = {**SIZE, "qk_rope_head_dim": 16, "qk_nope_head_dim": 8, "num_key_value_heads": 2}
    del size["head_dim"]
    try:
        config = DeepseekV3Config(**size, **json.loads(json.dumps(given)))
        made, scale = DeepseekV3RotaryEmbedding(config), DeepseekV3Attention(config, 0).scaling
    except Exception:
        return None
    return {"inv_freq": made.inv_freq.tolist(), "attention_factor": made.attention_scaling, "scale": scale}


def rope_gpt_oss(given):
    """inv_freq and attention factor; null where transformers fails."""
    try:
        made = GptOssRotaryEmbedding(GptOssConfig(**SIZE, **json.loads(json.dumps(given))))
    except Exception:
        return None
    return {"inv_freq": made.inv_freq.tolist(), "attention_factor": made.attention_scaling}


def windows(model_type, given):
    """How many of 20 tokens the last one attends to in each of four layers, 0: all; null where transformers fails."""
    sizes = dict(num_hidden_layers=4, num_key_value_heads=1, vocab_size=64, intermediate_size=16, pad_token_id=None)
    try:
        config = AutoConfig.for_model(model_type, **SIZE, **sizes, **json.loads(json.dumps(given)))
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    except Exception:
        return None
    seen = [int((layer[0, 0, -1] > 0).sum()) for layer in model(torch.arange(20)[None], output_attentions=True).attentions]
    return [0 if count == 20 else count for count in seen]


def lines(rows):
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


if __name__ == "__main__":
    out = Path(argument('out', __doc__))
    out.mkdir(parents=True, exist_ok=True)
    known = {c.model_type: keys(c) | OLDER.get(c, {}) for c in FAMILIES}
    popped = sorted(GenerationConfig._get_default_generation_params())
    text = json.dumps(
        {"transformers": transformers.__version__, "families": known, "others": OTHERS, "generation": popped}, indent=1, sort_keys=True
    )
    (out / "keys.json").write_text(text + "\n")
    rows = [{"config": given, "expected": rope(given)} for given in ROPE]
    (out / "rope.json").write_text(lines(rows))
    (out / "ropes.json").write_text(lines([{"config": given, "expected": ropes(given)} for given in ROPES]))
    (out / "rope-phi3.json").write_text(lines([{"config": given, "expected": rope_phi3(given)} for given in PHI3]))
    (out / "rope-deepseek.json").write_text(lines([{"config": given, "expected": rope_deepseek(given)} for given in DEEPSEEK]))
    (out / "windows.json").write_text(lines([{"model_type": kind, "config": given, "expected": windows(kind, given)} for kind, given in WINDOWS]))
    (out / "rope-gpt-oss.json").write_text(lines([{"config": given, "expected": rope_gpt_oss(given)} for given in GPT_OSS]))
