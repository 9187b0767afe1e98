"""What tokenizer_config.json and the model type make of a tokenizer.json: AutoTokenizer over the small tokenizers of data.py with other configs.

  python tools/oracle/tokenizer_configs.py OUT

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import transformers
from data_tokenizers import KINDS, write
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()

TEXTS = ["the river sings", "  two", "<s> x", "é\n\nb </s>q", "a<|im_end|>b <new1>", " ▁x", "<call>the"]
NAMES = ["bos_token", "eos_token", "unk_token", "pad_token", "mask_token", "sep_token", "image_token", "x", "boi_token", "add_bos_token"]
TEMPLATE = "".join("{{ %s }}|" % name for name in NAMES)

GONE = "(left out)"
token = lambda content: dict(__type="AddedToken", content=content, lstrip=False, normalized=False, rstrip=False, single_word=False)
named = lambda cls: dict(tokenizer_class=cls)

# kind, model type, changes of tokenizer_config.json
CASES = [
    *[(kind, model_type, {}) for kind in KINDS for model_type in ("llama", "mistral", "qwen3", "gemma2", "smollm3")],
    ("smollm-like", "qwen2", {}), ("llama3-like", "qwen2", {}),
    *[("smollm-like", "qwen3", named(cls)) for cls in (GONE, "Qwen2Tokenizer", "Qwen2TokenizerFast", "LlamaTokenizerFast", "TokenizersBackend")],
    *[("llama2-like", model_type, named("LlamaTokenizerFast")) for model_type in ("llama", "mistral", "qwen3", "gemma2", "smollm3")],
    # every other family's type: whose named class counts, and what none named means
    *[(kind, model_type, named(cls)) for kind in ("llama2-like", "smollm-like") for model_type in ("mixtral", "phi3", "qwen3_moe", "deepseek_v2", "deepseek_v3", "gpt_oss") for cls in (GONE, "LlamaTokenizerFast") if (kind, model_type, cls) != ("llama2-like", "qwen3_moe", GONE)],
    *[("llama2-like", model_type, dict(named("LlamaTokenizer"), legacy=False)) for model_type in ("mixtral", "phi3", "deepseek_v3")],
    *[("llama2-like", "gemma2", dict(legacy=legacy)) for legacy in (True, GONE)], ("llama2-like", "smollm3", dict(add_prefix_space=False)),
    *[("gemma-like", "gemma2", named(cls)) for cls in (GONE, "GemmaTokenizer", "GemmaTokenizerFast", "LlamaTokenizer")],
    *[("gemma-like", model_type, named(cls)) for model_type in ("gemma3_text", "gemma3") for cls in (GONE, "GemmaTokenizer")],
    *[("gemma-like", "gemma2", dict(named("GemmaTokenizer"), **{key: value})) for key in ("bos_token", "pad_token", "mask_token") for value in (GONE, None, "<unk>")],
    ("gemma-like", "gemma2", dict(bos_token=GONE)), ("llama2-like", "llama", dict(bos_token=GONE, unk_token=GONE)),
    ("smollm-like", "qwen3", dict(named("Qwen2Tokenizer"), eos_token=GONE, pad_token=GONE)), ("smollm-like", "qwen2", dict(eos_token=GONE, pad_token=None)),
    ("smollm-like", "llama", dict(additional_special_tokens=["<new1>", "<new2>"])), ("smollm-like", "llama", dict(additional_special_tokens=["<call>"])),
    ("smollm-like", "llama", dict(extra_special_tokens=["<new1>", "<call>"])), ("smollm-like", "llama", dict(extra_special_tokens=[], additional_special_tokens=["<new1>"])),
    ("smollm-like", "llama", dict(extra_special_tokens=["<new2>"], additional_special_tokens=["<new1>"])), ("smollm-like", "llama", dict(extra_special_tokens=dict(x="<new1>"))),
    ("smollm-like", "qwen3", dict(extra_special_tokens=dict(x="<new1>"), additional_special_tokens=["<new2>", "<new3>"])), ("smollm-like", "llama", dict(image_token="<img>", boi_token="<call>")),
    ("smollm-like", "llama", dict(image_token=token("<img>"), extra_special_tokens=dict(image_token="<call>", x=token("<x>")))), ("smollm-like", "llama", dict(image_token="<img>", extra_special_tokens=["<y>"], mask_token="<m>", sep_token="<sep>", pad_token="<p>")),
    ("smollm-like", "llama", dict(extra_special_tokens=dict(pad_token="<x>"))), ("smollm-like", "llama", dict(pad_token=token("<q>"), unk_token=None)),
]


def record(folder: Path, kind: str, model_type: str, changes: dict) -> dict:
    write(folder, kind)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v != GONE}), "utf-8")
    (folder / "config.json").write_text(json.dumps(dict(model_type=model_type)))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    return dict(
        size=len(tokenizer),
        ids=[tokenizer(text)["input_ids"] for text in TEXTS],
        without_special=[tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) for ids in plain],
        printed=tokenizer.apply_chat_template([dict(role="user", content="")], chat_template=TEMPLATE, tokenize=False),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for kind, model_type, changes in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made.append(dict(kind=kind, modelType=model_type, changes=changes, expected=record(Path(folder), kind, model_type, changes)))
    (out / "cases.json").write_text(json.dumps(dict(texts=TEXTS, template=TEMPLATE, gone=GONE, cases=made), separators=(",", ":")), "utf-8")


if __name__ == "__main__":
    main()
