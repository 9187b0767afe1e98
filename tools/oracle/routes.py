"""Whether runs of a mixture that begin alike fall apart because tokens go to other experts: thirty steps of training.py's deepseek-v3 at another
learning rate, in f32, in f64, and in f64 with every token sent where f32 sent it.

  python tools/oracle/routes.py OUT [--learning_rate 1e-3] [--ours FOLDER]

  OUT/routes.json   a line a step: `loss` of each run, `flipped` (slots of tokens, of all layers, whose expert is not f32's) of f64, and of saqr's
                    run where FOLDER holds its checkpoints of every step, computed in f64 from its weights; `slots` in all"""
import argparse
import json
import os
from contextlib import nullcontext
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import torch.nn.functional as F
from families_compute import in_f64
from safetensors.torch import load_file
from training import RUNS, add_adapter, make_model

RUN = next(run for run in RUNS if run.name == "deepseek-v3")


class Router:
    """Stands in a router's place: keeps which experts it chose, or has the choice made for it."""

    def __init__(self, model):
        self.chosen, self.led = [], None
        for module in model.modules():
            if type(module).__name__ == "DeepseekV3TopkRouter":
                self.wrap(module)

    def wrap(self, gate):
        forward = gate.forward

        def routed(hidden):
            logits, weights, experts = forward(hidden)
            if self.led is not None:
                experts = next(self.led)
                weights = logits.sigmoid().gather(1, experts)
                weights = weights / (weights.sum(-1, keepdim=True) + 1e-20) * gate.routed_scaling_factor
            self.chosen.append(experts.detach().clone())
            return logits, weights, experts

        gate.forward = routed


def padded(rows):
    width = max(len(row["ids"]) for row in rows)
    line = lambda values, fill: values + [fill] * (width - len(values))
    ids, targets, mask = ([line(row[key], 0) for row in rows] for key in ("ids", "targets", "mask"))
    return torch.tensor(ids), torch.tensor(targets), torch.tensor(mask)


def train(steps, learning_rate: float, double: bool, led=None):
    """losses, and chosen experts of every forward; AdamW, clipping and a linear schedule as TRL has them (whose own loss is f32 whatever the model)"""
    model = add_adapter(make_model(RUN), RUN)
    with in_f64(model) if double else nullcontext(model) as model:
        router = Router(model)
        router.led = iter(led) if led else None
        model.train()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=0.0)
        losses = []
        for n, rows in enumerate(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (len(steps) - n) / len(steps)
            ids, targets, mask = padded(rows)
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            at = targets[:, 1:].bool()
            loss = F.cross_entropy(logits[:, :-1][at], ids[:, 1:][at])
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
    return losses, router.chosen


def valid(steps):
    """of each step: which of its padded tokens are tokens"""
    for rows in steps:
        yield padded(rows)[2].flatten().bool()


def differing(a, b) -> int:
    """slots whose expert the other did not choose for that token"""
    return int((~(a[:, :, None] == b[:, None, :]).any(-1)).sum())


@torch.no_grad()
def routes_of(folder: Path, steps, first: dict):
    """experts that each step's tokens go to by the weights of a run before that step, in f64"""
    with in_f64(add_adapter(make_model(RUN), RUN)) as model:
        own = {name: p for name, p in model.named_parameters() if p.requires_grad}
        for n, rows in enumerate(steps):
            values = load_file(folder / f"checkpoint-{n}" / "adapter_model.safetensors") if n else first
            for name, p in own.items():
                p.copy_(values[name.replace(".default", "")])
            router = Router(model) if n == 0 else router
            router.chosen = []
            ids, _, mask = padded(rows)
            model(input_ids=ids, attention_mask=mask, use_cache=False)
            yield router.chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--ours", type=Path)
    args = parser.parse_args()
    recorded = json.loads((Path(__file__).parents[2] / "test/fixtures/training/deepseek-v3/steps.json").read_text())
    steps = [[dict(row, mask=[1] * len(row["ids"])) for batch in step for row in batch] for step in recorded]
    f32, chosen = train(steps, args.learning_rate, False)
    f64, exact = train(steps, args.learning_rate, True)
    led, _ = train(steps, args.learning_rate, True, chosen)
    layers = len(chosen) // len(steps)
    by_step = lambda all: [all[n * layers : (n + 1) * layers] for n in range(len(steps))]
    first = {}
    ours = [None] * len(steps)
    if args.ours:
        model = add_adapter(make_model(RUN), RUN)
        first = {name.replace(".default", ""): p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        state = json.loads((args.ours / f"checkpoint-{len(steps)}" / "trainer_state.json").read_text())
        logged = [e["loss"] for e in state["log_history"] if "loss" in e]
        ours = list(zip(logged, routes_of(args.ours, steps, first)))
    lines = []
    for n, (a, b, tokens) in enumerate(zip(by_step(chosen), by_step(exact), valid(steps))):
        flips = lambda other: sum(differing(x[tokens], y[tokens]) for x, y in zip(a, other))
        line = dict(step=n + 1, slots=layers * int(tokens.sum()) * a[0].shape[1], loss=dict(f32=f32[n], f64=f64[n], led=led[n]), flipped=dict(f64=flips(b)))
        if ours[n]:
            line["loss"]["saqr"], line["flipped"]["saqr"] = ours[n][0], flips(ours[n][1])
        lines.append(json.dumps(line))
        off = {name: f"{abs(loss - f32[n]):.1e}" for name, loss in line["loss"].items() if name != "f32"}
        print(n + 1, f"{f32[n]:.4f}", "from f32:", off, "flipped:", line["flipped"], "of", line["slots"], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "routes.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
