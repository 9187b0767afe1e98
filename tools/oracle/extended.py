"""Tokens added to a tokenizer, a vocabulary resized for them, adapters over it: what tokenizers, transformers and PEFT make of them.

  python tools/oracle/extended.py OUT [--seed N]      # files to compare with
  python tools/oracle/extended.py OUT --read FOLDER   # what transformers and PEFT read in what saqr saved: OUT/said.json

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import os
import random
import shutil
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VOCAB, ROWS = 260, 271
TEXTS = ["a <x> b<y>c", "<think> the abc</think>", "<x><y><z>", "  <n>  x", "the the<pad>", "<e1> e2 <e2>", "word word_ <w>x <w> y"]


def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    for merged in ("th", "the", "Ġt"):
        vocab[merged] = len(vocab)
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[("t", "h"), ("th", "e"), ("Ġ", "t")]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>")


def calls(out: Path, r: random.Random) -> None:
    """Lists of calls after one another: what each returns, and what the tokenizer is afterwards."""
    def token():
        flag = lambda: r.random() < 0.3
        content = r.choice(["<x>", "<y>", "<z>", "<n>", "<w>", "<think>", "</think>", "the", "a", "", "<e1>"])
        if r.random() < 0.5:
            return content
        return dict(content=content or "<x>", lstrip=flag(), rstrip=flag(), single_word=flag(), **({"normalized": flag()} if flag() else {}))

    cases = []
    for _ in range(40):
        one, steps = tokenizer(), []
        for _ in range(r.randint(1, 5)):
            if r.random() < 0.7:
                tokens, special = [token() for _ in range(r.randint(1, 4))], r.random() < 0.4
                made = [t if isinstance(t, str) else AddedToken(**t) for t in tokens]
                steps.append(dict(add=tokens, special=special, returns=one.add_tokens(made, special_tokens=special)))
            else:
                named = r.choice([dict(pad_token="<pad>"), dict(extra_special_tokens=["<e1>", "<e2>"]), dict(eos_token="<eos>"), dict(pad_token="b"), dict(extra_special_tokens=["<e3>"], unk_token="<u>")])
                steps.append(dict(named=named, returns=one.add_special_tokens(named)))
        # as it is read again: a token with a name (eos_token) is then special, whatever it was added as
        one.save_pretrained(out / "again")
        one = AutoTokenizer.from_pretrained(out / "again")
        shutil.rmtree(out / "again")
        added = [dict(id=i, content=t.content, special=t.special, lstrip=t.lstrip, rstrip=t.rstrip, normalized=t.normalized, single_word=t.single_word) for i, t in sorted(one.added_tokens_decoder.items())]
        cases.append(dict(steps=steps, added=added, length=len(one), special=one.special_tokens_map, ids={text: one.encode(text, add_special_tokens=False) for text in TEXTS}))
    (out / "calls.json").write_text(json.dumps(cases) + "\n")


def base(out: Path, tied: bool, constant: bool) -> LlamaForCausalLM:
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=1, head_dim=16, max_position_embeddings=64, tie_word_embeddings=tied, initializer_range=0.03))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.1 * torch.randn_like(p) if "norm" in name else 0.1 + 0.3 * torch.randn_like(p))
        if constant:  # no covariance of full rank: every new row is the mean
            model.get_input_embeddings().weight[:, 3] = 0
            model.get_output_embeddings().weight[:, 5] = 0
    model.tie_weights()
    model.save_pretrained(out)
    tokenizer().save_pretrained(out)
    return model


def resized(out: Path) -> None:
    for tied in (True, False):
        for constant in (True, False):
            name = f"{'tied' if tied else 'untied'}-{'constant' if constant else 'full'}"
            model = base(out / name, tied, constant)
            before = [w.weight.detach().clone() for w in (model.get_input_embeddings(), model.get_output_embeddings())]
            model.resize_token_embeddings(ROWS)
            rows = {}
            for key, weight in (("embedding", model.get_input_embeddings().weight), ("head", model.get_output_embeddings().weight)):
                rows[key] = weight.detach()[VOCAB:].clone().contiguous()
            for key, weight in zip(("embedding", "head"), before):
                centred = weight - weight.mean(0)
                rows[f"{key}.mean"] = weight.mean(0)
                rows[f"{key}.covariance"] = (centred.T @ centred / len(weight)).contiguous()
            save_file(rows, out / name / "rows.safetensors")
            (out / name / "README.md").unlink(missing_ok=True)


def log_probabilities(model, row):
    ids = torch.tensor([row])
    with torch.no_grad():
        said = model.eval()(ids).logits.log_softmax(-1)
    return said[0, :-1].gather(1, ids[0, 1:, None])[:, 0].tolist()


def read(out: Path, folder: Path) -> None:
    """The adapter over its resized base, as PEFT reads it; the merged model, and the one whose weights were all trained, as transformers reads it."""
    row = json.loads((folder / "row.json").read_text())
    said = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        names = AutoTokenizer.from_pretrained(path)
        one = dict(length=len(names), ids=names.encode("a <think> b</think>", add_special_tokens=False))
        if (path / "adapter_config.json").exists():
            config = json.loads((path / "adapter_config.json").read_text())
            model = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"], dtype=torch.float32)
            model.resize_token_embeddings(row["rows"])
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                model = PeftModel.from_pretrained(model, path)
            one["warnings"] = [str(w.message) for w in told if "peft" in str(w.filename)]
        else:
            model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
            one["vocab"] = model.config.vocab_size
        for other in sorted(p for p in path.iterdir() if (p / "adapter_config.json").exists()):
            model.load_adapter(other, other.name)
            model.set_adapter(other.name)
            one[other.name] = log_probabilities(model, row["ids"])
            model.set_adapter("default")
        one["logp"] = log_probabilities(model, row["ids"])
        said[path.name] = one
    (out / "said.json").write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--read", type=Path)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    if a.read:
        read(a.out, a.read)
    else:
        torch.manual_seed(a.seed)
        calls(a.out, random.Random(a.seed))
        resized(a.out)
