"""What transformers and PEFT compute for every family and every kind of adapter: logits, loss, gradients, greedy tokens.

  python tools/oracle/families.py OUT [--case NAME] [--seed N]

The layout of OUT/<case>/ is described in tools/oracle/README.md."""
import argparse
import json
import os
import shutil
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin starve whatever runs beside

import families_weights
import peft
import torch
import transformers
from families_cases import CASES, Case
from families_compute import distance, gradients, greedy, in_f64, step
from families_apart import adapter_apart, from_apart, to_apart
from families_dropout import dropped
from families_files import tidy_adapter_config, to_legacy
from families_weights import fill_adapter, fill_base, generator
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
# PEFT warns of what these cases are about: embeddings as targets, tied heads, lora_B with a bias
warnings.filterwarnings("ignore", category=UserWarning, module="peft")

SHARED = 36  # tokens with which rows 0 and 1 begin alike
GREEDY = 32


def make_rows(case, vocab):
    """Four rows. 0 and 1 share 36 tokens that hold targets, not the same ones, and part there; 2 begins with 10 tokens of row 0
    (too few to share); 3 is short. Token 0 of a row is never a target."""
    g = generator(case, "rows")
    draw = lambda n: torch.randint(3, vocab, (n,), generator=g).tolist()
    beginning = [1] + draw(SHARED - 1)
    rows = [beginning + draw(8), beginning + draw(11), beginning[:10] + draw(15), [1] + draw(6)]
    assert rows[0][SHARED] != rows[1][SHARED]
    marks = [lambda i: i >= 20, lambda i: i >= 28 and i != 40, lambda i: i >= 12 and i % 5 != 0, lambda i: i >= 1]
    return [dict(ids=ids, targets=[int(mark(i)) for i in range(len(ids))]) for ids, mark in zip(rows, marks)]


def write_model(folder: Path, case: Case):
    """Writes model/ and adapter/, and gives back the model in memory. The base is saved before PEFT puts its modules into it."""
    config = AutoConfig.for_model(case.family, **case.config)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager").float()
    fill_base(model, case.name)
    model.save_pretrained(folder / "model")
    if case.renamed:
        tied = model.config.tie_word_embeddings
        tensors = {name: t.clone() for name, t in model.state_dict().items() if not (tied and name == "lm_head.weight")}
        save_file(tensors, folder / "model" / "model.safetensors", metadata={"format": "pt"})
    if case.apart:
        to_apart(folder / "model", model)
    if case.legacy:
        to_legacy(folder / "model" / "config.json")
    if case.adapter is None:
        return model
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **case.adapter))
    fill_adapter(model, case.name)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    tidy_adapter_config(folder / "adapter" / "adapter_config.json")
    return model


def read_model(folder: Path, case: Case):
    if case.apart:
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder / "model"), attn_implementation="eager", experts_implementation="eager").float()
        model.load_state_dict(from_apart(folder / "model"))
    else:
        model = AutoModelForCausalLM.from_pretrained(folder / "model", attn_implementation="eager", experts_implementation="eager", dtype=torch.float32)
    return model if case.adapter is None else peft.PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)


def find_greedy(model, case, vocab, count):
    """The first prompt whose tokens are decided by a clear lead (no test may hang on rounding) and don't end early; where every answer ends
    early, of the first hundred the longest that is as clear, of half the tokens at least."""
    longest = dict(tokens=[])
    for attempt in range(100):
        prompt = [1] + torch.randint(3, vocab, (7,), generator=generator(case, "prompt", attempt)).tolist()
        tokens, lead = greedy(model, prompt, count)
        if lead <= 2e-3 or len(set(tokens)) < 5:
            continue
        found = dict(prompt=prompt, tokens=tokens, lead=lead)
        if len(tokens) == count and 2 not in tokens:
            return found
        longest = max(longest, found, key=lambda one: len(one["tokens"]))
    if len(longest["tokens"]) < count / 2:
        raise SystemExit(f"{case}: no prompt with a clear greedy continuation")
    return longest


def write_case(out: Path, case: Case, count: int):
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = write_model(folder, case)
    model = read_model(folder, case)
    vocab = case.text["vocab_size"]
    rows = make_rows(case.name, vocab)
    (folder / "rows.json").write_text(json.dumps(rows) + "\n")
    if case.apart:
        adapter_apart(folder, rows[0]["ids"])
        dropped(folder, rows)

    logits, loss, means = step(model, rows, case.batches)
    grads = gradients(model)
    assert torch.equal(step(written, rows, case.batches)[0][0], logits[0]) and set(gradients(written)) == set(grads), f"{case.name}: read back differently"
    with in_f64(model) as wide:
        logits64, loss64, _ = step(wide, rows, case.batches)
        grads64 = gradients(wide)

    tensors = {f"logits.{i}": logits[i] for i in (0, 1)}
    tensors |= {"loss": loss.reshape(1)} | {f"loss.{i}": m.reshape(1) for i, m in enumerate(means)}
    tensors |= {f"grad.{name}": g for name, g in grads.items()}
    for name, tensor in tensors.items():
        assert torch.isfinite(tensor).all() and tensor.abs().max() > 1e-6, f"{case.name}: {name} is not finite or zero"
    assert all(g.dtype == torch.float64 for g in grads64.values())
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "expected.safetensors", metadata={"format": "pt"})

    expected = dict(
        versions=dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__, peft=peft.__version__),
        targets=sum(sum(row["targets"]) for row in rows),
        shared=SHARED,
        **({} if case.batches is None else dict(batches=case.batches)),
        loss=loss64.item(),
        logits={str(i): distance(logits[i], logits64[i]) for i in (0, 1)},
        gradients={name: dict(norm=torch.linalg.vector_norm(grads64[name]).item(), distance=distance(g, grads64[name])) for name, g in grads.items()},
        greedy=find_greedy(model, case.name, vocab, count),
    )
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    worst = max(g["distance"] for g in expected["gradients"].values())
    print(f"{case.name:28} loss {loss.item():.4f}  {len(grads):3} gradients, f32-f64 at most {worst:.1e}  lead {expected['greedy']['lead']:.1e}  {size / 1024:.0f} kB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--case", choices=[case.name for case in CASES])
    parser.add_argument("--seed", type=int, default=0, help="other weights than those recorded")
    parser.add_argument("--greedy", type=int, default=GREEDY, help="tokens that follow a prompt")
    args = parser.parse_args()
    families_weights.seed = args.seed
    for case in CASES:
        if args.case in (None, case.name):
            write_case(args.out, case, args.greedy)


if __name__ == "__main__":
    main()
