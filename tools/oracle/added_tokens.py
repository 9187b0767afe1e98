"""Texts full of added tokens with every flag, through small tokenizers of four kinds, as the tokenizers library makes ids of them, and which
tokens transformers takes for those of a stretch of the text.

  python tools/oracle/added_tokens.py OUT [--seed N] [--tokenizers N] [--texts N]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import random
import unicodedata
from pathlib import Path

from data_tokenizers import KINDS
from tokenizers import AddedToken, Encoding, Tokenizer, normalizers

CONTENTS = [
    "<a>", "<ab>", "<a>b", "b", "word", "the", " the", "é", "e\u0301", "ﬁ", "fi", "İ", " ", "  ", "\n", "\n\n", "\t", "\u00a0", "\u0085", "\ufeff", "\u3000", "\u200b", " <s>", "<s> ", "صقر", "日本", "👍", "👍🏽",
    "a b", "x_", "_x", "1", "12", "▁", "▁▁", "▁low", "Ġ", "\u1112\u1161", "\u212b", "Å",
]
PARTS = CONTENTS + [" ", " ", "  ", "\n", "\r\n", "\v", "\x1c", "\u2028", "\u2003", "a", "ab", "the ", " river", "c1", "é", "e", "\u0301", "_", "-", ".", "\u200d", "\u0660", "ª", "<", ">", "<a", "s>"]


def build(kind: str, base: str, r: random.Random) -> Tokenizer:
    tokenizer = Tokenizer.from_str(base)
    normalizer = r.choice([None, "NFC", "NFKC", "NFD", "own"])
    if "▁" not in base and normalizer != "own":
        tokenizer.normalizer = getattr(normalizers, normalizer)() if normalizer else None
    if kind == "llama2-like" and r.random() < 0.4:
        # as newer files have it: no normalizer, a space only at the beginning of the text
        definition = json.loads(tokenizer.to_str())
        definition["normalizer"] = None
        definition["pre_tokenizer"] = dict(type="Metaspace", replacement="▁", prepend_scheme=r.choice(["first", "always", "never"]), split=False)
        tokenizer = Tokenizer.from_str(json.dumps(definition))
    spelled = set()
    for content in r.sample(CONTENTS, r.randint(2, 9)):
        # of two that are one when normalized, the library takes either
        plain = unicodedata.normalize("NFKD", content)
        if plain in spelled:
            continue
        spelled.add(plain)
        flag = lambda: r.random() < 0.35
        token = AddedToken(content, normalized=r.random() < 0.5, lstrip=flag(), rstrip=flag(), single_word=flag())
        (tokenizer.add_special_tokens if r.random() < 0.3 else tokenizer.add_tokens)([token])
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> Encoding | None:
    """None where the library fails: white space stripped behind one token holds the next one."""
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except BaseException as error:  # a panic is no Exception
        assert "bad split" in str(error), error
        return None


def mask(encoding: Encoding, start: int, end: int) -> list[int] | None:
    """As `apply_chat_template` makes it of characters that a generation block wrote; None where one of their ends lies in no token."""
    first, last = encoding.char_to_token(start), encoding.char_to_token(end - 1)
    if first is None or last is None:
        return None
    return [int(first <= i <= last) for i in range(len(encoding.ids))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizers", type=int, default=90)
    parser.add_argument("--texts", type=int, default=100)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    r = random.Random(args.seed)
    kinds = {kind: make()[0].to_str() for kind, make in KINDS.items()}
    bases = {}
    cases = []
    for i in range(args.tokenizers):
        kind = list(KINDS)[i % len(KINDS)]
        tokenizer = build(kind, kinds[kind], r)
        definition = json.loads(tokenizer.to_str())
        # vocabularies are the kinds' own: kept once
        model = definition.pop("model")
        bases.setdefault(kind, model)
        contents = [t["content"] for t in definition["added_tokens"][-8:]]
        texts = ["".join(r.choice(contents if r.random() < 0.45 else PARTS) for _ in range(r.randint(1, 9))) for _ in range(args.texts)]
        made = [encode(tokenizer, text) for text in texts]
        spans = [sorted(r.sample(range(len(text) + 1), 2)) for text in texts]
        masks = [e and mask(e, *span) for e, span in zip(made, spans)]
        pieces = [[text[:start], text[start:end], text[end:]] for text, (start, end) in zip(texts, spans)]
        cases.append(dict(kind=kind, definition=definition, texts=pieces, ids=[e and e.ids for e in made], masks=masks))
    (args.out / "models.json").write_text(json.dumps(bases, separators=(",", ":")), encoding="utf-8")
    (args.out / "cases.json").write_text(json.dumps(cases, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
