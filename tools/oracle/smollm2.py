"""A real small model, SmolLM2-135M-Instruct in Q4_1: how transformers opens it, what transformers and PEFT compute on it.

  python tools/oracle/smollm2.py OUT                                    # the file, one batch with LoRA
  python tools/oracle/smollm2.py OUT --adapter FOLDER --merged FOLDER   # what a trained adapter and its merged model say

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import hashlib
import json
import os
import random
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin starve whatever runs beside
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import peft
import torch
import transformers
from families_cases import SEVEN
from families_compute import distance, gradients, in_f64, step
from families_files import tidy_adapter_config
from families_weights import normal
from rows_cases import Draw
from safetensors.torch import save_file
from smollm2_files import gguf, tokenizer, where
from transformers import AutoModelForCausalLM

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
warnings.filterwarnings("ignore", category=UserWarning, module="peft")

TEXTS = [
    "Hello  world", "a  1", "x\n\n1. y\n\n\n22. z", "éàü 中文 😀👍🏽", "I'll don't WE'RE", "<|im_start|>user\nhi<|im_end|>\n", "\t\t  code(){}\r\n", "١٢٣ ½ Ⅷ",
    "e\u0301", "1234567.89", "   ", "", "\u00a0x\u200b", "العربية: صقر", "fooBar_baz HTTPServer2", "!!!???...", "\n", "def f(x):\n    return x ** 2  # ok\n",
]

CHATS = [
    ("What has claws and lives by the sea?", "A crab: it has claws, and it lives by the sea."),
    ("Say hello in Arabic.", "مرحبا"),
    ("What is 12 + 30?", "12 + 30 = 42."),
]


def texts() -> list[str]:
    return TEXTS + Draw(4).texts(400)


def chat(messages: tuple[str, str]) -> list[dict]:
    return [dict(role=role, content=content) for role, content in zip(("user", "assistant"), messages)]


def make_rows(tok) -> list[dict]:
    """Chats whose answers are targets, marked by where question and answer part; they share the template's system message."""
    rows = []
    for messages in CHATS:
        asked = tok.apply_chat_template(chat(messages)[:1], add_generation_prompt=True)["input_ids"]
        ids = tok.apply_chat_template(chat(messages))["input_ids"]
        assert ids[: len(asked)] == asked
        rows.append(dict(ids=ids, targets=[int(i >= len(asked)) for i in range(len(ids))]))
    return rows


def open_model():
    return AutoModelForCausalLM.from_pretrained(**where(), dtype=torch.float32, attn_implementation="eager")


@torch.no_grad()
def fill(model):
    """lora_B not zero, so that every gradient differs from 0, and small, so that the model still speaks."""
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.copy_(normal(p.shape, p.shape[1] ** -0.5 if "lora_A" in name else 0.02, "smollm2", name))


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=True) + "\n", encoding="utf-8")


def describe_file(out: Path, model, tok) -> None:
    config = model.config.to_dict()
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    digest = lambda value: hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
    file = dict(
        path=str(gguf()), config=config, template=tok.chat_template,
        # the head reads the embedding
        tensors={name: digest(value) for name, value in model.state_dict().items() if name != "lm_head.weight"},
    )
    write(out / "file.json", file)
    write(out / "texts.json", [dict(text=text, ids=tok(text)["input_ids"]) for text in texts()])


def compute(out: Path, model, tok) -> None:
    rows = make_rows(tok)
    write(out / "rows.json", rows)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=SEVEN))
    fill(model)
    model.save_pretrained(out / "adapter")
    tidy_adapter_config(out / "adapter" / "adapter_config.json")

    logits, loss, _ = step(model, rows)
    grads = gradients(model)
    with in_f64(model) as wide:
        logits64, loss64, _ = step(wide, rows)
        grads64 = gradients(wide)
    tensors = {f"logits.{i}": x for i, x in enumerate(logits)} | {f"grad.{name}": g for name, g in grads.items()}
    assert all(torch.isfinite(t).all() and t.abs().max() > 1e-9 for t in tensors.values())
    save_file(tensors, out / "expected.safetensors", metadata={"format": "pt"})
    expected = dict(
        loss=loss64.item(),
        logits={str(i): distance(x, logits64[i]) for i, x in enumerate(logits)},
        gradients={name: dict(norm=torch.linalg.vector_norm(grads64[name]).item(), distance=distance(g, grads64[name])) for name, g in grads.items()},
    )
    write(out / "expected.json", expected)
    worst = max(g["distance"] for g in expected["gradients"].values())
    print(f"loss {loss.item():.4f} (f64: {abs(loss.item() / loss64.item() - 1):.1e}), {len(grads)} gradients, f32-f64 at most {worst:.1e}; {sum(len(r['ids']) for r in rows)} tokens")


def write_training_rows(out: Path) -> None:
    r = random.Random(5)
    rows = [dict(messages=chat((f"What is {a} plus {b}?", f"{a} plus {b} is {a + b}."))) for a, b in ((r.randint(2, 99), r.randint(2, 99)) for _ in range(12))]
    (out / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@torch.no_grad()
def say(out: Path, adapter: Path, merged: Path) -> None:
    """Logits of the first row by base and adapter, and by the merged checkpoint; f32's distance from f64 of the first."""
    ids = torch.tensor([json.loads((out / "rows.json").read_text())[0]["ids"]])
    logits = lambda model: model.eval()(input_ids=ids, use_cache=False).logits[0]
    base = open_model()
    tensors = dict(base=logits(base))
    model = peft.PeftModel.from_pretrained(base, adapter)
    tensors["adapter"] = logits(model)
    with in_f64(model) as wide:
        own = distance(tensors["adapter"], logits(wide))
    tensors["merged"] = logits(AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32, attn_implementation="eager"))
    save_file({name: t.contiguous() for name, t in tensors.items()}, out / "said.safetensors", metadata={"format": "pt"})
    write(out / "said.json", dict(distance=own))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--merged", type=Path)
    args = parser.parse_args()
    if args.adapter:
        say(args.out, args.adapter, args.merged)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    model, tok = open_model(), tokenizer()
    describe_file(args.out, model, tok)
    write_training_rows(args.out)
    compute(args.out, model, tok)


if __name__ == "__main__":
    main()
