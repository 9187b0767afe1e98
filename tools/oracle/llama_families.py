"""Tiny models of every family and an adapter over each, as transformers and PEFT answer, and what llama.cpp answers from GGUF files of them.

    llama_families.py OUT make             OUT/NAME, OUT/NAME-lora: a model and its adapter; OUT/names.json; OUT/NAME.npz: texts and next-token probabilities
    llama_families.py OUT ask LIBRARIES    OUT/files.json: {NAME: {base, merged, adapter, folder, peft}}, GGUF files, adapter (laid over base) or null; folders -> OUT/answers.json

answers.json: for each file in llama.cpp, and for the merged folder and the adapter in transformers and PEFT, the share of positions that are more than 1e-3 apart from transformers' probabilities, and the largest difference; `moved` is what
the adapter itself changes. llama.cpp keeps keys and values in f16.
"""
import argparse
import ctypes
import json
import os
from ctypes import c_float, c_void_p
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np

SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024, rms_norm_eps=1e-6,
             pad_token_id=0, bos_token_id=1, eos_token_id=0, initializer_range=0.1, tie_word_embeddings=False)
HEADS = SIZES | dict(head_dim=16)
LATENT = SIZES | dict(num_key_value_heads=4, first_k_dense_replace=1, q_lora_rank=20, kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=16, v_head_dim=16,
                      n_routed_experts=6, num_experts_per_tok=2, moe_intermediate_size=32)
# as llama.cpp takes them for DeepSeek, whatever the file says
YARN = dict(type="yarn", factor=4.0, original_max_position_embeddings=256, beta_fast=32, beta_slow=1, mscale=1.0, mscale_all_dim=1.0)
TEXTS = ["The falcon is the fastest", "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)  # 3.14 miles from the tower"]
TEXTS.append(TEXTS[1][::-1])


def configs():
    from transformers import (DeepseekV2Config, DeepseekV3Config, Gemma2Config, Gemma3TextConfig, GptOssConfig, LlamaConfig, MistralConfig, MixtralConfig, Phi3Config,
                              Qwen2Config, Qwen3Config, Qwen3MoeConfig, SmolLM3Config)
    llama3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64, rope_theta=5e5)
    local = {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}
    long = dict(type="longrope", short_factor=[1 + 0.1 * i for i in range(6)], long_factor=[1.0 + i for i in range(6)])
    plain = dict(rope_type="default", rope_theta=150000.0)
    return {
        "llama": LlamaConfig(**HEADS), "llama-tied-scaled": LlamaConfig(rope_parameters=llama3, **(HEADS | dict(head_dim=64, tie_word_embeddings=True))), "mistral": MistralConfig(sliding_window=None, **HEADS),
        "qwen2": Qwen2Config(**SIZES), "qwen3": Qwen3Config(**HEADS), "smollm3": SmolLM3Config(**(SIZES | dict(num_hidden_layers=5))),
        "gemma2": Gemma2Config(query_pre_attn_scalar=16, sliding_window=24, **(HEADS | dict(tie_word_embeddings=True))),
        "gemma3": Gemma3TextConfig(query_pre_attn_scalar=16, sliding_window=24, rope_parameters=local, **(HEADS | dict(num_hidden_layers=7, tie_word_embeddings=True))),
        "phi3": Phi3Config(sliding_window=None, original_max_position_embeddings=1024, **SIZES),
        "phi3-long": Phi3Config(sliding_window=None, original_max_position_embeddings=512, partial_rotary_factor=0.75, rope_scaling=long, **SIZES),
        "mixtral": MixtralConfig(num_local_experts=5, num_experts_per_tok=3, sliding_window=None, **HEADS),
        "qwen3_moe": Qwen3MoeConfig(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32, norm_topk_prob=True, **HEADS),
        "gpt_oss": GptOssConfig(num_local_experts=4, num_experts_per_tok=2, sliding_window=24, rope_parameters=plain, **(HEADS | dict(intermediate_size=64))),
        "deepseek_v2": DeepseekV2Config(topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2, routed_scaling_factor=4.0, rope_scaling=YARN, **LATENT),
        # llama.cpp knows one without q_a_proj by its number of layers
        "deepseek_v2-lite": DeepseekV2Config(topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2, routed_scaling_factor=1.0,
                                             **(LATENT | dict(q_lora_rank=None, num_hidden_layers=27, initializer_range=0.05))),
        "deepseek_v3": DeepseekV3Config(n_group=3, topk_group=2, n_shared_experts=1, routed_scaling_factor=2.5, norm_topk_prob=True, rope_scaling=YARN, **LATENT),
    }


def make(out: Path):
    import torch
    import transformers
    from data_tokenizers import smollm_like
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer

    transformers.logging.set_verbosity_error()
    tokenizer, config = smollm_like()
    # llama.cpp has no name for its cut behind NFC
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str()) | dict(normalizer=None)))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", chat_template=config["chat_template"])
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    for name, config in configs().items():
        torch.manual_seed(1)
        config.vocab_size = len(tokenizer)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():
            for key, value in [*model.named_parameters(), *model.named_buffers()]:
                if value.ndim == 1 and value.dtype == torch.float32 and "inv_freq" not in key:
                    value.add_(0.1 * torch.randn_like(value))
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
        linears = {key.split(".")[-1] for key, module in model.named_modules() if isinstance(module, torch.nn.Linear)} - {"lm_head", "gate", "router"}
        answer = lambda m: [torch.softmax(m(torch.tensor([row])).logits[0].double(), -1).numpy() for row in ids]
        with torch.no_grad():
            base = answer(model)
            adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=sorted(linears))).eval()
            adapted.peft_config["default"].base_model_name_or_path = str(out / name)
            for key, value in adapted.named_parameters():
                if "lora_B" in key:
                    value.copy_(0.1 * torch.randn_like(value))
            adapted.save_pretrained(out / f"{name}-lora")
            np.savez(out / f"{name}.npz", **{f"{kind}{i}": one for kind, all in (("base", base), ("merged", answer(adapted))) for i, one in enumerate(all)})
    (out / "names.json").write_text(json.dumps(list(configs())))
    (out / "ids.json").write_text(json.dumps(ids))


def ask(out: Path, libraries: str):
    import torch
    import transformers
    from llama import Model, load
    from peft import PeftModel

    transformers.logging.set_verbosity_error()

    llama = load(libraries)
    ids = json.loads((out / "ids.json").read_text())

    def answers(file, adapter=None):
        model = Model(llama, file)
        laid = llama.llama_adapter_lora_init(model.handle, adapter.encode()) if adapter else None
        assert laid or not adapter, adapter
        rows = []
        for row in ids:
            context = model.context(1)
            if laid:
                assert llama.llama_set_adapters_lora(context, (c_void_p * 1)(laid), 1, (c_float * 1)(1)) == 0
            logits = np.ctypeslib.as_array(ctypes.cast(model.read(context, row), ctypes.POINTER(c_float)), (len(row), model.tokens)).astype(np.float64)
            llama.llama_free(context)
            shifted = np.exp(logits - logits.max(-1, keepdims=True))
            rows.append(shifted / shifted.sum(-1, keepdims=True))
        return rows

    def opened(folder, adapter=None):
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = (PeftModel.from_pretrained(model, adapter) if adapter else model).eval()
        with torch.no_grad():
            return [torch.softmax(model(torch.tensor([row])).logits[0].double(), -1).numpy() for row in ids]

    told = {}
    for name, files in json.loads((out / "files.json").read_text()).items():
        wanted = np.load(out / f"{name}.npz")
        rows = lambda kind: [wanted[f"{kind}{i}"] for i in range(len(ids))]
        far = lambda a, b: np.concatenate([np.abs(x - y).max(-1) for x, y in zip(a, b)])
        given = {"base": (files["base"], None, "base"), "merged": (files["merged"], None, "merged")}
        if files["adapter"]:
            given["adapter"] = (files["base"], files["adapter"], "merged")
        told[name] = {"moved": far(rows("base"), rows("merged")).max()}
        for kind, (file, adapter, expected) in given.items():
            apart = far(answers(file, adapter), rows(expected))
            told[name][kind] = {"apart": float((apart > 1e-3).mean()), "most": apart.max()}
        for kind, rows_of in (("folder", opened(files["folder"])), ("peft", opened(out / name, files["peft"]))):
            apart = far(rows_of, rows("merged"))
            told[name][kind] = {"apart": float((apart > 1e-3).mean()), "most": float(apart.max())}
    (out / "answers.json").write_text(json.dumps(told))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("what", choices=["make", "ask"])
    parser.add_argument("libraries", nargs="?")
    args = parser.parse_args()
    make(args.out) if args.what == "make" else ask(args.out, args.libraries)
