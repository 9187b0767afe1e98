"""What transformers makes of config.json: every key that its configuration classes know, and the rotary frequencies of configs that
say them in different ways. test/models/configs.test.ts holds src/models against both.

    python tools/oracle/configs.py OUT        # OUT/keys.json, OUT/rope.json
"""

import dataclasses
import json
from pathlib import Path

import transformers
from arguments import argument
from transformers import Gemma2Config, GenerationConfig, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config, Qwen3Config, SmolLM3Config
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

transformers.logging.set_verbosity_error()

FAMILIES = (LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config, Gemma2Config, SmolLM3Config, Phi3Config)
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


if __name__ == "__main__":
    out = Path(argument('out', __doc__))
    out.mkdir(parents=True, exist_ok=True)
    known = {c.model_type: keys(c) for c in FAMILIES}
    popped = sorted(GenerationConfig._get_default_generation_params())
    text = json.dumps(
        {"transformers": transformers.__version__, "families": known, "others": OTHERS, "generation": popped}, indent=1, sort_keys=True
    )
    (out / "keys.json").write_text(text + "\n")
    rows = [{"config": given, "expected": rope(given)} for given in ROPE]
    (out / "rope.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
