"""What ggml's own quantisers make of seeded weights: test/fixtures/ggml-blocks.json. `lib`: a libggml-base shared library.

    ggml_blocks.py test/fixtures/ggml-blocks.json path/to/libggml-base.so
"""
import argparse
import ctypes
import hashlib
import json
from pathlib import Path

import numpy as np

TYPES = {"F16": (1, 1, 2), "BF16": (30, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34),
         "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}
ROWS, COLS = 48, 768


def weights(kind):
    """Integers to f32 with one rounding, so that any language draws the same."""
    state, drawn = 1, np.empty(ROWS * COLS, np.float64)
    for i in range(drawn.size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        drawn[i] = (state >> 16) - 32768
    if kind == "heavy":
        drawn = drawn**3 * 2.0**-50
    elif kind == "even":
        drawn = drawn * 2.0**-20
    elif kind == "tiny":
        drawn = drawn * 2.0**-40
    else:  # sub-blocks of zeros, of one value, of two
        block = np.arange(drawn.size) >> 5
        drawn = np.where(block % 4 == 0, 0.0, np.where(block % 4 == 1, 0.25, np.where(drawn > 0, 0.5, np.where(block % 4 == 2, -0.125, 0.125))))
    return drawn.astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("lib")
    args = parser.parse_args()
    ggml = ctypes.CDLL(args.lib)
    chunk = ggml.ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    digests = {}
    for kind in ("even", "heavy", "tiny", "flat"):
        x = weights(kind)
        for name, (number, block, size) in TYPES.items():
            out = np.zeros(x.size // block * size, np.uint8)
            assert chunk(number, x.ctypes.data, out.ctypes.data, 0, ROWS, COLS, None) == out.size
            digests[f"{kind} {name}"] = hashlib.sha256(out.tobytes()).hexdigest()
    Path(args.out).write_text(json.dumps(digests, indent=2) + "\n")


main()
