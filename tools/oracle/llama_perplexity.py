"""Perplexity of texts by GGUF files, as llama.cpp computes them.

    llama_perplexity.py LIBRARIES TEXTS MOST FILE ...

TEXTS: .jsonl of {"text": …}, each read from its first token, MOST tokens of it. Prints for each file the texts' mean negative log-likelihood a token
in nats, its exponential, and how many tokens that is of.
"""
import argparse
import json
import math
from pathlib import Path

import numpy as np

from llama import Model, load


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("libraries")
    parser.add_argument("texts", type=Path)
    parser.add_argument("most", type=int)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    texts = [json.loads(line)["text"] for line in args.texts.read_text().splitlines()]
    llama = load(args.libraries)
    for path in args.files:
        model = Model(llama, path)
        context = model.context(1)
        total, count = 0.0, 0
        for text in texts:
            ids = model.ids(text, True)[: args.most]
            model.forget(context)
            logits = model.read(context, ids)
            rows = np.ctypeslib.as_array(logits, (len(ids), model.tokens))[:-1]
            most = rows.max(1)
            told = rows[np.arange(len(rows)), ids[1:]] - most - np.log(np.exp(rows - most[:, None]).sum(1, dtype=np.float64))
            total, count = total - told.sum(), count + len(told)
        print(json.dumps({"nats": total / count, "perplexity": math.exp(total / count), "tokens": count}), flush=True)


main()
