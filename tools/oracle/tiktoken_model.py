"""A small tiktoken.model as Moonlight's and Kimi's checkpoints have it, and the ids of many texts by tiktoken's own rules.

  python tools/oracle/tiktoken_model.py OUT [--seed N] [--saved FOLDER]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import base64
import json
import os
import random
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import regex
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
# how the tokenizer's class in these checkpoints cuts text
PATTERN = "|".join([
    r"[\p{Han}]+", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}", r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
WORDS = ["the", "river", "falcon", "Falcon", "FALCON", "don't", "WE'LL", "naïve", "é", "12345", "7", "漢字", "你好", "隼は", "東京タワー", "الصقر", "하늘",
         "🦅", "\n", "\r\n\n", "\t", "  ", " ", "_x", "->", "...", "<|im_end|>", "[EOS]", "[BOS]", "<|reserved_token_N|>", "e\u0301", "ﬁ", "Ǆ", "𠮷野", "〇", "\u3000", "def f(x):"]
NAMED = {0: "[BOS]", 1: "[EOS]", 2: "<|im_end|>", 3: "<|im_user|>", 4: "<|im_assistant|>", 10: "<|im_system|>", 17: "<|im_middle|>", 254: "[UNK]", 255: "[PAD]"}


def ranks_of(rng: random.Random) -> list[bytes]:
    """Bytes, then what training on text merges; some tokens that no merging reaches, and ones that several pairs make."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=[], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    plain = [word for word in WORDS if "<|" not in word and "[" not in word]
    tokenizer.train_from_iterator([" ".join(rng.choices(plain, k=9)) for _ in range(400)], trainer)
    vocab = tokenizer.get_vocab()
    byte_of = {character: bytes([byte]) for byte, character in bytes_to_unicode().items()}
    tokens = [b"".join(byte_of[c] for c in token) for token in sorted(vocab, key=vocab.get)]
    singles = [token for token in tokens if len(token) == 1]
    rng.shuffle(singles)
    more = [b"aa", b"aaa", b"aaaa", b"falconfalcon", "漢漢".encode(), b"xyzzy"]
    return singles + [t for t in dict.fromkeys([*(t for t in tokens if len(t) > 1), *more])]


def bytes_to_unicode() -> dict[int, str]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def encode(text: str, ranks: dict[bytes, int], special: dict[str, int]) -> list[int]:
    """Special tokens first; each piece that is a token is it, of others the neighbours of the lowest rank are merged, the leftmost first."""
    ids = []
    for part in regex.split("(" + "|".join(regex.escape(s) for s in sorted(special, key=len, reverse=True)) + ")", text):
        if part in special:
            ids.append(special[part])
            continue
        for match in regex.finditer(PATTERN, part, flags=regex.V1):
            piece = match.group().encode()
            parts = [piece] if piece in ranks else [bytes([byte]) for byte in piece]
            while len(parts) > 1:
                rank, at = min((ranks.get(parts[i] + parts[i + 1], 1 << 30), i) for i in range(len(parts) - 1))
                if rank == 1 << 30:
                    break
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            ids += [ranks[p] for p in parts]
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--saved", help="a folder that saqr saved the tokenizer in: what transformers makes of the texts by it")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    tokens = ranks_of(rng)
    ranks = {token: rank for rank, token in enumerate(tokens)}
    special = {NAMED.get(i, f"<|reserved_token_{len(tokens) + i}|>"): len(tokens) + i for i in range(256)}
    texts = ["", "aaaaaaa", "falconfalcon", " falconfalconfalcon", "xyzzy xyzzyx", "漢漢漢", *("".join(rng.choices(WORDS, k=rng.randrange(1, 9))).replace("_N|", f"_{len(tokens) + 5}|") for _ in range(150))]
    config = dict(
        tokenizer_class="TikTokenTokenizer", auto_map=dict(AutoTokenizer=["tokenization_moonshot.TikTokenTokenizer", None]),
        bos_token="[BOS]", eos_token="<|im_end|>", unk_token="[UNK]", pad_token="[PAD]", model_max_length=8192, clean_up_tokenization_spaces=False,
        added_tokens_decoder={str(len(tokens) + i): dict(content=content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=True) for i, content in NAMED.items()},
        chat_template="{% for m in messages %}<|im_{{ m.role }}|>{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_assistant|>{% endif %}",
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "tiktoken.model").write_bytes(b"".join(base64.b64encode(token) + f" {rank}\n".encode() for token, rank in ranks.items()))
    (args.out / "tokenizer_config.json").write_text(json.dumps(config, indent=1), "utf-8")
    said = dict(texts=texts, ids=[encode(text, ranks, special) for text in texts])
    if args.saved:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(args.saved)
        said["transformers"] = [tokenizer(text)["input_ids"] for text in texts]
    (args.out / "cases.json").write_text(json.dumps(said, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
