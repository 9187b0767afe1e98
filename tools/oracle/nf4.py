"""What NF4 weights of bitsandbytes are, by the format's own words: codes times scales, without any of its kernels.

bitsandbytes 0.50 on a processor with AVX-512 takes a weight's block for `row * (width // 64) + column // 64`: right where 64 divides the width. Of other
widths that 16 divides most elements are read with another block's scale (35 to 70 % of a random weight's norm off), in what it dequantises and in every
product, forward and backward. `misread` says which weights of a model that happens to."""
import torch
from bitsandbytes import functional as F


def by_hand(weight) -> torch.Tensor:
    """A Params4bit as f32 [out, in]: block b of 64 consecutive elements has scale b; the high half of a byte comes first."""
    state = weight.quant_state
    scales = state.absmax
    if state.nested:
        # blocks of 256 scales, in 8 bits
        scales = state.state2.code[state.absmax.long()] * state.state2.absmax.repeat_interleave(256)[: state.absmax.numel()] + state.offset
    packed = weight.data.contiguous().view(torch.uint8).reshape(-1)
    codes = torch.stack([packed >> 4, packed & 15], 1).reshape(-1)[: state.shape.numel()].long()
    return (F.get_4bit_type("nf4", device="cpu")[codes] * scales.float().repeat_interleave(state.blocksize)[: codes.numel()]).reshape(state.shape)


def quantised(model) -> dict[str, torch.nn.Module]:
    return {name: module for name, module in model.named_modules() if hasattr(getattr(module, "weight", None), "quant_state")}


def misread(model) -> dict[str, float]:
    """How far bitsandbytes' own reading of a weight is from what is in it, as a share of its norm, where that isn't 0."""
    found = {}
    for name, module in quantised(model).items():
        values = by_hand(module.weight)
        read = F.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
        off = ((read - values.to(module.weight.quant_state.dtype).float()).norm() / values.norm()).item()
        if off > 0:
            found[name] = off
    return found
