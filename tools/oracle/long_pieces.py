"""Token ids of long texts without spaces, by the tokenizers library: long_pieces.py FOLDER CHARACTERS TOKENIZER.json ... -> FOLDER/ids.json (a sha256 for each)."""

import hashlib
import json
import struct
import sys
import time
from pathlib import Path

from tokenizers import Tokenizer


def numbers(seed):
    """A generator that JavaScript has too."""
    while True:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield seed >> 8


def texts(n):
    def drawn(of):
        draw = numbers(5)
        return "".join(of[next(draw) % len(of)] for _ in range(n))

    return {
        "letters": drawn("abcdefghijklmnopqrstuvwxyz"),
        "one letter": "a" * n,
        "syllables": drawn(["the", "ing", "er", "on", "at", "an"]),
        "signs": drawn("=-#*/"),
        "spaces": " " * n,
        "han": drawn([chr(0x4E00 + i) for i in range(3000)]),
        "others": drawn("aé👍\u0301ß語"),
    }


def main():
    folder, n = Path(sys.argv[1]), int(sys.argv[2])
    said = {}
    for path in sys.argv[3:]:
        tokenizer = Tokenizer.from_file(path)
        said[path] = {}
        for name, text in texts(n).items():
            started = time.perf_counter()
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            seconds = time.perf_counter() - started
            digest = hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()
            said[path][name] = {"ids": len(ids), "sha256": digest, "seconds": seconds}
    (folder / "ids.json").write_text(json.dumps(said))


main()
