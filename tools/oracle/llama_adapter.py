"""What llama.cpp answers with an adapter's GGUF file laid over its base, beside the file with the adapter merged in.

    llama_adapter.py LIBRARIES BASE ADAPTER MERGED

LIBRARIES: folder of libggml* and libllama* shared libraries. Prints the largest difference of a next token's probability over a few texts, of base
with adapter and merged, and of base alone and merged.
"""
import argparse
import ctypes
import glob
import math
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int32, c_size_t, c_void_p

TEXTS = ["The falcon is the fastest", "Q: What is the capital of France?\nA:", "def fibonacci(n):\n    if n <"]


class Params(ctypes.Structure):
    """Of a model or a context, as llama.cpp fills it: larger than either, and passed on the stack."""

    _fields_ = [("all", ctypes.c_byte * 512)]


class Batch(ctypes.Structure):
    _fields_ = [("count", c_int32), *((name, c_void_p) for name in ("token", "embd", "pos", "n_seq_id", "seq_id", "logits"))]


def load(folder):
    for pattern in ("libggml-base*", "libggml.*", "libllama.*"):
        for path in glob.glob(f"{folder}/{pattern}"):
            library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            if "libggml." in path:
                library.ggml_backend_load_all_from_path(folder.encode())
    for name, result, arguments in (
        ("llama_model_default_params", Params, []),
        ("llama_context_default_params", Params, []),
        ("llama_model_load_from_file", c_void_p, [c_char_p, Params]),
        ("llama_init_from_model", c_void_p, [c_void_p, Params]),
        ("llama_model_get_vocab", c_void_p, [c_void_p]),
        ("llama_vocab_n_tokens", c_int32, [c_void_p]),
        ("llama_tokenize", c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
        ("llama_batch_get_one", Batch, [POINTER(c_int32), c_int32]),
        ("llama_set_n_threads", None, [c_void_p, c_int32, c_int32]),
        ("llama_decode", c_int32, [c_void_p, Batch]),
        ("llama_get_logits_ith", POINTER(c_float), [c_void_p, c_int32]),
        ("llama_adapter_lora_init", c_void_p, [c_void_p, c_char_p]),
        ("llama_set_adapters_lora", c_int32, [c_void_p, POINTER(c_void_p), c_size_t, POINTER(c_float)]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def answers(llama, model, adapter):
    vocab = llama.llama_model_get_vocab(model)
    rows = []
    for text in TEXTS:
        context = llama.llama_init_from_model(model, llama.llama_context_default_params())
        assert context
        llama.llama_set_n_threads(context, 1, 1)
        if adapter:
            assert llama.llama_set_adapters_lora(context, (c_void_p * 1)(adapter), 1, (c_float * 1)(1)) == 0
        ids = (c_int32 * 64)()
        count = llama.llama_tokenize(vocab, text.encode(), len(text.encode()), ids, 64, True, False)
        assert count > 0 and llama.llama_decode(context, llama.llama_batch_get_one(ids, count)) == 0
        logits = llama.llama_get_logits_ith(context, -1)[: llama.llama_vocab_n_tokens(vocab)]
        most = max(logits)
        total = sum(math.exp(x - most) for x in logits)
        rows.append([math.exp(x - most) / total for x in logits])
    return rows


def main():
    parser = argparse.ArgumentParser()
    for name in ("libraries", "base", "adapter", "merged"):
        parser.add_argument(name)
    args = parser.parse_args()
    llama = load(args.libraries)
    base, merged = (llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params()) for path in (args.base, args.merged))
    adapter = llama.llama_adapter_lora_init(base, args.adapter.encode())
    assert base and merged and adapter
    wanted = answers(llama, merged, None)
    for name, rows in (("adapter", answers(llama, base, adapter)), ("base", answers(llama, base, None))):
        most = max(abs(p - q) for row, other in zip(rows, wanted) for p, q in zip(row, other))
        print(f"{name}: probabilities within {most:.1e} of the merged file's", flush=True)


if __name__ == "__main__":
    main()
