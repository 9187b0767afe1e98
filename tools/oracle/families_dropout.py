"""Dropout over the linears of single experts (gpt-oss as 4-bit files have it): PEFT's lora_dropout, with the masks that saqr draws in the place of torch's.
Every module of torch's is replaced by one that multiplies by its mask: where PEFT drops, and what by, is PEFT's own doing."""
import json
import re
from pathlib import Path

import numpy as np
import peft
import torch
from families_apart import Linears, from_apart
from families_compute import gradients, step
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

SHARE = 0.3


def mix(h):
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return h ^ (h >> 16)


def fold(*words):
    key = 0
    for word in words:
        key = mix(((key ^ word) + 0x9E3779B9) & 0xFFFFFFFF)
    return key


def fnv(text):
    h = 0x811C9DC5
    for letter in text.encode():
        h = ((h ^ letter) * 0x01000193) & 0xFFFFFFFF
    return h


class Mask(nn.Module):
    """seed and step are 0; `at` says the row's number; of its tokens the linear has all, or those of its expert"""

    def __init__(self, path, at, base):
        super().__init__()
        found = re.match(r"^(.*\.experts\.(?:gate_up_proj|down_proj))s\.(\d+)$", path)
        self.module = fnv(found[1] if found else path)
        self.expert = (int(found[2]),) if found else ()
        self.at = at
        # no module of this one's
        self.experts = [base.get_submodule(path.rsplit(".", 2)[0])] if found else []

    def forward(self, x):
        tokens = self.experts[0].tokens.tolist() if self.expert else range(x.shape[-2])
        assert len(tokens) == x.shape[-2]
        channels = np.arange(x.shape[-1], dtype=np.uint64)
        bits = [mix((fold(0, 0, self.at["row"], t, self.module, *self.expert) + channels * 0x9E3779B9) & 0xFFFFFFFF) for t in tokens]
        kept = np.stack(bits) >= SHARE * 2**32 if len(tokens) else np.zeros((0, x.shape[-1]), bool)
        return x * torch.from_numpy(kept) / (1 - SHARE)


def dropped(folder: Path, rows):
    """Writes adapter-apart/dropped.safetensors: loss and gradients of adapter-apart/ under dropout, over all experts of a layer as adapter/ has them."""
    at = dict(row=-1)
    base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "model"), attn_implementation="eager", experts_implementation="eager").float()
    base.load_state_dict(from_apart(folder / "model"))
    for layer in base.model.layers:
        layer.mlp.experts = Linears(layer.mlp.experts)
    config = peft.LoraConfig.from_pretrained(folder / "adapter-apart")
    config.lora_dropout, config.inference_mode = SHARE, False
    model = peft.get_peft_model(base, config)
    result = peft.set_peft_model_state_dict(model, load_file(folder / "adapter-apart" / "adapter_model.safetensors"))
    assert not result.unexpected_keys
    replaced = 0
    for name, module in model.named_modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            assert isinstance(module.lora_dropout["default"], nn.Dropout)
            module.lora_dropout["default"] = Mask(name.removeprefix("base_model.model."), at, base)
            replaced += 1
    assert replaced == len(base.model.layers) * (2 + 2 * base.config.num_local_experts)
    base.register_forward_pre_hook(lambda *_: at.update(row=at["row"] + 1))
    _, loss, _ = step(model, rows)
    tensors, experts = {"loss": loss.reshape(1)}, {}
    for name, grad in gradients(model).items():
        found = re.match(r"^(.*\.experts)\.(gate_up_proj|down_proj)s\.(\d+)\.lora_([AB])\.weight$", name)
        if found:
            inner = ".base_layer" if found[2] == "gate_up_proj" else ""
            experts.setdefault(f"{found[1]}{inner}.lora_{found[4]}.weight", {})[int(found[3])] = grad
        else:
            tensors[f"grad.{name}"] = grad.contiguous()
    for name, own in experts.items():
        stacked = torch.stack([own[e] for e in sorted(own)])
        # A (E * r, in), an expert's ranks behind another's; B (out, r * E), the expert running fastest
        whole = stacked.flatten(0, 1) if "lora_A" in name else stacked.permute(1, 2, 0).flatten(1)
        tensors[f"grad.{name}"] = whole.contiguous()
    save_file(tensors, folder / "adapter-apart" / "dropped.safetensors", metadata={"dropout": json.dumps(SHARE)})
