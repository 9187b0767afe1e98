"""Rows drawn at random, and what TRL's SFTTrainer makes of them before it trains: token ids, targets, packs.

  python tools/oracle/rows.py OUT [--seed N]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import copy
import json
import tempfile
from pathlib import Path

import trl
from data import dump, record_rows
from data_tokenizers import KINDS, write
from rows_cases import cases
from smollm2_files import gguf
from smollm2_files import tokenizer as smollm2
from transformers import AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    out = args.out
    for kind in KINDS:
        write(out / "tokenizers" / kind, kind)
    tokenizers = {"smollm2": smollm2()} | {kind: AutoTokenizer.from_pretrained(out / "tokenizers" / kind) for kind in KINDS}
    dump(out / "gguf.json", str(gguf()))
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, kind, rows, options, given, formatting_func) in enumerate(cases(args.seed)):
            kind, _, template = kind.partition(":")
            tokenizer = tokenizers[kind]
            if template:
                tokenizer = copy.deepcopy(tokenizer)
                tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja").read_text(encoding="utf-8")
            made = record_rows(name, kind, tokenizer, given or rows, options, folder, formatting_func)
            del made["rows"]
            if template:
                made["template"] = tokenizer.chat_template
            dump(out / "cases" / f"{i:02}.json", made)
            (out / "cases" / f"{i:02}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
