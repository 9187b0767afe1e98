"""A GGUF file (f32 or f16) as llama.cpp's own llama_model_quantize writes it.

    llama_quantize.py FOLDER LIBRARIES FILE TYPE

FOLDER: where llama.cpp's file goes, llama.TYPE.gguf; LIBRARIES: of libggml-base and libllama shared libraries; TYPE: q4_k_m …
"""
import argparse
import ctypes
import glob
from pathlib import Path

FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}


class Params(ctypes.Structure):
    """The beginning of llama_model_quantize_params; what comes after stays as llama.cpp fills it."""

    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("output_type", ctypes.c_int32), ("embedding_type", ctypes.c_int32),
                ("allow_requantize", ctypes.c_bool), ("rest", ctypes.c_byte * 239)]


def main():
    parser = argparse.ArgumentParser()
    for name in ("folder", "libraries", "file", "type"):
        parser.add_argument(name)
    args = parser.parse_args()
    for pattern in ("libggml-base*", "libggml.*", "libllama.*"):
        for path in glob.glob(f"{args.libraries}/{pattern}"):
            library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    library.llama_model_quantize_default_params.restype = Params
    params = library.llama_model_quantize_default_params()
    params.threads, params.file_type, params.allow_requantize = 2, FILE_TYPES[args.type], True
    out = Path(args.folder) / f"llama.{args.type}.gguf"
    library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
    library.llama_model_quantize.restype = ctypes.c_uint32
    assert library.llama_model_quantize(args.file.encode(), str(out).encode(), ctypes.byref(params)) == 0


main()
