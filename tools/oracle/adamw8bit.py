"""50 updates of bitsandbytes' AdamW8bit on the CPU: parameters and quantised state after 1, 10 and 50 of them, and the two dynamic maps.

  python tools/oracle/adamw8bit.py OUT [--seed N] [--inputs]

bitsandbytes has AdamW8bit on the CPU, and two quantisers under it: `nearest` is its own PyTorch kernel (backends/default), which takes the nearest
code as its GPU kernels do; `table` is its native CPU library's, which first rounds to one of 65,536 cells, so that no code below 1e-5 of a block's
maximum is ever taken and even 0 becomes another number. The arithmetic of the update is the same. The layout is described in tools/oracle/README.md."""
import argparse
import json
from pathlib import Path
from unittest import mock

import bitsandbytes
import bitsandbytes.functional as F
import numpy as np
import torch
from bitsandbytes.backends.cpu import ops as cpu
from safetensors.torch import save_file

torch.set_num_threads(2)

SIZES = [4095, 4096, 10000, 65536]  # one below the 8-bit threshold, on it, a last block of 16, many blocks
STEPS = [1, 10, 50]
SETTINGS = dict(lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
BLOCK = 256
seed = 0  # of parameters and gradients


def bits(size: int, step: int) -> np.ndarray:
    """32 random bits for each element, by integer arithmetic alone, so that any language makes the same."""
    with np.errstate(over="ignore"):
        x = np.arange(1, size + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
        x ^= np.uint32((step + 1000 * seed) * 0x85EBCA77 & 0xFFFFFFFF) ^ np.uint32(size * 0xC2B2AE3D & 0xFFFFFFFF)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x846CA68B)
        return x ^ (x >> np.uint32(16))


def parameter(size: int) -> torch.Tensor:
    """In [-1, 1)."""
    return torch.from_numpy((bits(size, 0) >> np.uint32(8)).astype(np.float32) / 2**23 - 1)


def gradient(size: int, step: int) -> torch.Tensor:
    """Element i in [-0.5, 1.5) · 2^-(3i mod 7): leaning to one side, of sizes up to 64 times apart in each block; block 3 is 0 throughout."""
    i = np.arange(size)
    units = (bits(size, step) >> np.uint32(8)).astype(np.float32) - np.float32(2**22)
    g = units * np.exp2(-23.0 - (i * 3) % 7).astype(np.float32)
    g[(i // BLOCK) == 3] = 0
    return torch.from_numpy(g)


def quantise_nearest(values, code, absmax_out, codes_out, blocksize):
    key = torch._C.DispatchKey.CompositeExplicitAutograd  # where bitsandbytes registers its kernels for any device
    codes, absmax = torch.ops.bitsandbytes.quantize_blockwise.default._op_dk(key, values, code, blocksize)
    codes_out.copy_(codes)
    absmax_out.copy_(absmax)


def kept(size: int) -> torch.Tensor:
    """Which elements are written: of the largest tensor every 16th block."""
    i = torch.arange(size)
    return i if size < 65536 else i[(i // BLOCK) % 16 == 15]


def updates(size: int):
    """Yields (step, tensors) after the steps that are recorded."""
    p = torch.nn.Parameter(parameter(size))
    optimizer = bitsandbytes.optim.AdamW8bit([p], **SETTINGS)
    for step in range(1, max(STEPS) + 1):
        p.grad = gradient(size, step)
        optimizer.step()
        if step in STEPS:
            state, keep = optimizer.state[p], kept(size)
            tensors = dict(param=p.detach()[keep], state1=state["state1"][keep], state2=state["state2"][keep])
            if "absmax1" in state:
                blocks = keep[::BLOCK] // BLOCK
                tensors |= dict(absmax1=state["absmax1"][blocks], absmax2=state["absmax2"][blocks])
            yield step, {name: t.clone() for name, t in tensors.items()}


def record(kind: str, sizes: list[int]) -> dict[str, torch.Tensor]:
    return {f"{kind}.{size}.{step}.{name}": t for size in sizes for step, tensors in updates(size) for name, t in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="other parameters and gradients than those recorded")
    parser.add_argument("--inputs", action="store_true", help="write them too")
    args = parser.parse_args()
    global seed
    out, seed = args.out, args.seed
    out.mkdir(parents=True, exist_ok=True)
    tensors = {"map.signed": F.create_dynamic_map(signed=True), "map.unsigned": F.create_dynamic_map(signed=False)}
    with mock.patch.object(cpu, "_quant_blockwise_fp32_direct", quantise_nearest):
        tensors |= record("nearest", SIZES)
    tensors |= record("table", [4096])
    assert all(torch.isfinite(t).all() for t in tensors.values())
    assert tensors["nearest.4095.50.state1"].dtype == torch.float32 and tensors["nearest.4096.50.state1"].dtype == torch.uint8
    save_file(tensors, out / "expected.safetensors", metadata={"format": "pt"})
    if args.inputs:
        inputs = {f"{size}.parameter": parameter(size) for size in SIZES}
        inputs |= {f"{size}.gradient.{step}": gradient(size, step) for size in SIZES for step in range(1, max(STEPS) + 1)}
        save_file(inputs, out / "inputs.safetensors", metadata={"format": "pt"})
    meta = dict(
        versions=dict(torch=torch.__version__.split("+")[0], bitsandbytes=bitsandbytes.__version__),
        **SETTINGS, sizes=SIZES, steps=STEPS, blocksize=BLOCK, blocks_kept={"65536": "every block b with b mod 16 = 15"},
        first_gradients={str(size): gradient(size, 1)[:4].tolist() for size in SIZES},
        first_parameters={str(size): parameter(size)[:4].tolist() for size in SIZES},
    )
    (out / "expected.json").write_text(json.dumps(meta, indent=2) + "\n")
    apart = (tensors["nearest.4096.50.param"] - tensors["table.4096.50.param"]).norm() / (tensors["nearest.4096.50.param"] - parameter(4096)).norm()
    print(f"{len(tensors)} tensors, {(out / 'expected.safetensors').stat().st_size / 1024:.0f} kB; table against nearest after 50 steps: {apart:.1e} of the change")


if __name__ == "__main__":
    main()
