"""gpt-oss as 4-bit files have it, Unsloth's: bitsandbytes quantises linears alone, so every expert's matrices are linears of their own, (out, in), and so is
the router, which stays as it is. An adapter over such a model has a low-rank part for each of these linears."""
import json
import re
from pathlib import Path

import peft
import torch
from bitsandbytes import functional as F
from bitsandbytes.nn import Params4bit
from families_files import tidy_adapter_config
from nf4 import by_hand
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

EXPERTS = re.compile(r"^(.*\.experts\.)(gate_up_proj|down_proj)(_bias)?$")
QUANTISED = re.compile(r"_proj(s\.\d+)?\.weight$")
MARK = ".quant_state.bitsandbytes__nf4"


def apart(state):
    """each expert's by itself"""
    for name, t in state.items():
        found = EXPERTS.match(name)
        if found:
            for e, own in enumerate(t):
                kind, values = ("bias", own) if found[3] else ("weight", own.T)
                yield f"{found[1]}{found[2]}s.{e}.{kind}", values.contiguous()
        else:
            yield name.replace(".mlp.router.", ".mlp.router.linear."), t.contiguous()


@torch.no_grad()
def to_apart(folder: Path, model):
    """Writes the model's weights anew, quantised, and makes of the model what they are dequantised."""
    tensors = {}
    for name, t in apart(model.state_dict()):
        if not QUANTISED.search(name):
            tensors[name] = t
            continue
        packed, state = F.quantize_4bit(t, blocksize=64, compress_statistics=True, quant_type="nf4")
        tensors[name] = packed
        tensors |= {f"{name}.{part}": value for part, value in state.as_dict(packed=True).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = dict(
        quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype="float32", bnb_4bit_quant_storage="uint8", llm_int8_skip_modules=["lm_head", "router"],
    )
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    model.load_state_dict(from_apart(folder))


def from_apart(folder: Path):
    """The weights as transformers has them, dequantised: what the format says, and bitsandbytes reads the same where 64 divides a row."""
    tensors = load_file(folder / "model.safetensors")
    state, experts = {}, {}
    for name, t in tensors.items():
        if name + MARK in tensors:
            parts = {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(name + ".")}
            quant = F.QuantState.from_dict(parts, device=torch.device("cpu"))
            weight = Params4bit(t, requires_grad=False, quant_state=quant, bnb_quantized=True)
            values = by_hand(weight)
            assert torch.equal(values, F.dequantize_4bit(t, quant)), name
            t = values
        elif any(part in name for part in (".absmax", ".quant_map", ".nested_", MARK)):
            continue
        found = re.match(r"^(.*\.experts\.(?:gate_up_proj|down_proj))s\.(\d+)\.(weight|bias)$", name)
        if found:
            experts.setdefault(found[1] + ("_bias" if found[3] == "bias" else ""), {})[int(found[2])] = t if found[3] == "bias" else t.T
        else:
            state[name.replace(".router.linear.", ".router.")] = t
    return state | {name: torch.stack([own[e] for e in sorted(own)]).contiguous() for name, own in experts.items()}


class Linears(nn.Module):
    """gpt-oss's experts, each with linears of its own: what adapters over 4-bit files were trained on"""

    def __init__(self, fused):
        super().__init__()
        self.gate = fused._apply_gate
        for name in ("gate_up_proj", "down_proj"):
            linears = []
            for w, bias in zip(getattr(fused, name), getattr(fused, name + "_bias")):
                linears.append(nn.Linear(*w.shape))
                linears[-1].weight.data, linears[-1].bias.data = w.data.T.contiguous(), bias.data
            setattr(self, name + "s", nn.ModuleList(linears))

    def forward(self, x, indices, weights):
        y = torch.zeros_like(x)
        for e, (both, down) in enumerate(zip(self.gate_up_projs, self.down_projs)):
            tokens, slots = torch.where(indices == e)
            self.tokens = tokens  # whose rows the next linears are given
            y.index_add_(0, tokens, down(self.gate(both(x[tokens]))) * weights[tokens, slots, None])
        return y


@torch.no_grad()
def adapter_apart(folder: Path, ids):
    """Writes adapter-apart/: what adapter/ is, as PEFT writes it of a model whose experts are linears; both must say the same."""
    published = lambda: AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "model"), attn_implementation="eager", experts_implementation="eager").float()
    base = published()
    base.load_state_dict(from_apart(folder / "model"))
    for layer in base.model.layers:
        layer.mlp.experts = Linears(layer.mlp.experts)
    # other names are targets too, and mean nothing here
    experts = [f"{kind}s.{e}" for kind in ("gate_up_proj", "down_proj") for e in range(base.config.num_local_experts)]
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    names = [*config["target_modules"], "gate_proj", "up_proj", "down_proj", *experts]
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", r=config["r"], lora_alpha=config["lora_alpha"], target_modules=names))
    fused = load_file(folder / "adapter" / "adapter_model.safetensors")
    E, values = base.config.num_local_experts, {}
    for name, t in fused.items():
        found = re.match(r"^(.*\.experts)\.(base_layer\.)?lora_([AB])\.weight$", name)
        if not found:
            values[name] = t
            continue
        kind = "gate_up_projs" if found[2] else "down_projs"
        # A (E * r, in), an expert's ranks behind another's; B (out, r * E), the expert running fastest
        own = t.reshape(E, -1, t.shape[1]) if found[3] == "A" else t.reshape(t.shape[0], -1, E).permute(2, 0, 1)
        values |= {f"{found[1]}.{kind}.{e}.lora_{found[3]}.weight": own[e].contiguous() for e in range(E)}
    result = peft.set_peft_model_state_dict(model, values)
    assert not result.unexpected_keys and set(peft.get_peft_model_state_dict(model)) == set(values)
    whole = published()
    whole.load_state_dict(from_apart(folder / "model"))
    whole = peft.PeftModel.from_pretrained(whole, folder / "adapter")
    ids = torch.tensor([ids])
    a, b = model(ids).logits, whole(ids).logits
    assert (a - b).norm() <= 1e-6 * b.norm(), "the two forms of the adapter say otherwise"
    with whole.disable_adapter():
        assert (whole(ids).logits - b).norm() > 0.01 * b.norm()
    model.save_pretrained(folder / "adapter-apart")
    (folder / "adapter-apart" / "README.md").unlink(missing_ok=True)
    tidy_adapter_config(folder / "adapter-apart" / "adapter_config.json")
