"""gpt-oss as 4-bit files have it, Unsloth's: bitsandbytes quantises linears alone, so every expert's matrices are linears of their own, (out, in), and so is
the router, which stays as it is."""
import json
import re
from pathlib import Path

import torch
from bitsandbytes import functional as F
from bitsandbytes.nn import Params4bit
from nf4 import by_hand
from safetensors.torch import load_file, save_file

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
