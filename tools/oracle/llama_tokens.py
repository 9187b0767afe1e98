"""What llama.cpp makes of texts by the tokenizer in a GGUF file.

    llama_tokens.py OUT LIBRARIES FILE TEXTS

LIBRARIES: folder of libggml* and libllama* shared libraries; TEXTS: a JSON file with `texts`. `OUT/ids.json`: their ids, special tokens found in them.
"""
import argparse
import ctypes
import json
from pathlib import Path

from llama_adapter import load


def main():
    parser = argparse.ArgumentParser()
    for argument in ("out", "libraries", "file", "texts"):
        parser.add_argument(argument)
    args = parser.parse_args()
    llama = load(args.libraries)
    model = llama.llama_model_load_from_file(args.file.encode(), llama.llama_model_default_params())
    assert model, "llama.cpp doesn't open the file"
    vocab = llama.llama_model_get_vocab(model)
    rows = []
    for text in json.loads(Path(args.texts).read_text("utf-8"))["texts"]:
        data = text.encode()
        room = (ctypes.c_int32 * (len(data) + 8))()
        count = llama.llama_tokenize(vocab, data, len(data), room, len(room), True, True)
        assert count >= 0
        rows.append(list(room[:count]))
    (Path(args.out) / "ids.json").write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
