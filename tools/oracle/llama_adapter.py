"""What llama.cpp answers with an adapter's GGUF file laid over its base, beside the file with the adapter merged in.

    llama_adapter.py LIBRARIES BASE ADAPTER MERGED

LIBRARIES: folder of libggml* and libllama* shared libraries. Prints the largest difference of a next token's probability over a few texts, of base
with adapter and merged, and of base alone and merged.
"""
import argparse
import math
from ctypes import c_float, c_void_p

from llama import Model, load

TEXTS = ["The falcon is the fastest", "Q: What is the capital of France?\nA:", "def fibonacci(n):\n    if n <"]


def answers(llama, model, adapter):
    rows = []
    for text in TEXTS:
        context = model.context(1)
        if adapter:
            assert llama.llama_set_adapters_lora(context, (c_void_p * 1)(adapter), 1, (c_float * 1)(1)) == 0
        ids = model.ids(text, True)
        logits = model.read(context, ids)[(len(ids) - 1) * model.tokens : len(ids) * model.tokens]
        llama.llama_free(context)
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
    base, merged = (Model(llama, path) for path in (args.base, args.merged))
    adapter = llama.llama_adapter_lora_init(base.handle, args.adapter.encode())
    assert adapter
    wanted = answers(llama, merged, None)
    for name, rows in (("adapter", answers(llama, base, adapter)), ("base", answers(llama, base, None))):
        most = max(abs(p - q) for row, other in zip(rows, wanted) for p, q in zip(row, other))
        print(f"{name}: probabilities within {most:.1e} of the merged file's", flush=True)


if __name__ == "__main__":
    main()
