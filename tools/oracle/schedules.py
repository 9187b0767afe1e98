"""Learning rates of every scheduler in transformers, step by step, and the arguments that it refuses.

  python tools/oracle/schedules.py OUT [--seed N]

The layout of OUT/ is described in tools/oracle/README.md."""
import argparse
import json
import random
import warnings
from pathlib import Path

import torch
from transformers.optimization import get_scheduler

warnings.filterwarnings("ignore")

# by type: arguments, each with values that are drawn from
ARGUMENTS = {
    "linear": {},
    "cosine": {"num_cycles": [0.5, 1, 1.5, 0.25]},
    "cosine_with_restarts": {"num_cycles": [1, 2, 3, 2.5]},
    "polynomial": {"lr_end": [0.0, 1e-7, 1e-5], "power": [0.5, 1.0, 2, 3.5]},
    "constant": {},
    "constant_with_warmup": {},
    "inverse_sqrt": {"timescale": [1, 7, 100, 10000]},
    "cosine_with_min_lr": {"num_cycles": [0.5, 1.5], "min_lr": [0.0, 1e-6, 2e-5], "min_lr_rate": [0.0, 0.1, 0.5]},
    "cosine_warmup_with_min_lr": {"num_cycles": [0.5, 1.5], "min_lr": [0.0, 1e-6], "min_lr_rate": [0.1, 0.5], "warmup_lr_rate": [0.0, 0.05, 0.3]},
    "warmup_stable_decay": {
        "num_decay_steps": [0, 1, 3, 10], "num_stable_steps": [0, 2, 5], "warmup_type": ["linear", "cosine", "1-sqrt"],
        "decay_type": ["linear", "cosine", "1-sqrt"], "min_lr_ratio": [0.0, 0.1, 0.5], "num_cycles": [0.5, 1.0],
    },
}
ADAPTIVE = {
    "reduce_lr_on_plateau": {
        "mode": ["min", "max"], "factor": [0.1, 0.5, 0.9], "patience": [0, 1, 3], "threshold": [1e-4, 0.01, 0.2], "threshold_mode": ["rel", "abs"],
        "cooldown": [0, 2], "min_lr": [0.0, 1e-5], "eps": [1e-8, 1e-5],
    },
    "greedy": {
        "mode": ["min", "max"], "factor": [0.95, 0.5, 0.9], "patience": [0, 1, 3], "threshold": [1e-6, 0.01, 0.2], "threshold_mode": ["rel", "abs"],
        "cooldown": [0, 2], "warmup": [0, 3], "min_lr": [1e-5, 1e-4], "max_lr": [1e-3, 1.0], "eps": [1e-8, 1e-5], "smooth": [False, True],
        "window_size": [2, 5, 50], "reset_start": [1, 3, 500],
    },
}
# what names, types or values are wrong: an error in both, whatever its words
WRONG = [
    ("linear", {"num_cycles": 2}), ("cosine", {"min_lr": 0.1}), ("cosine", {"num_cycle": 2}), ("polynomial", {"lr_end": 1.0}), ("polynomial", {"end": 0}),
    ("inverse_sqrt", {"num_cycles": 1}), ("cosine_with_min_lr", {}), ("cosine_with_min_lr", {"min_lr": 1e-6, "min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", {}), ("warmup_stable_decay", {}), ("warmup_stable_decay", {"num_decay_steps": 2, "decay_type": "sqrt"}),
    ("warmup_stable_decay", {"num_decay_steps": 2, "warmup_type": "exp"}), ("reduce_lr_on_plateau", {"factor": 1.0}),
    ("reduce_lr_on_plateau", {"mode": "least"}), ("greedy", {"factor": 1.5}), ("greedy", {"threshold_mode": "relative"}), ("greedy", {"patient": 1}),
]


def optimizer(rate: float):
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def by_steps(kind: str, rate: float, warmup: int, steps: int, kwargs: dict) -> list[float]:
    adamw = optimizer(rate)
    schedule = get_scheduler(kind, adamw, num_warmup_steps=warmup, num_training_steps=steps, scheduler_specific_kwargs=kwargs)
    rates = []
    for step in range(steps):
        rates.append(adamw.param_groups[0]["lr"])
        if step < steps - 1:  # the rate after the last step is nobody's, and some have none
            adamw.step()
            schedule.step()
    return rates


def by_metric(kind: str, rate: float, values: list[float], kwargs: dict) -> list[float]:
    adamw = optimizer(rate)
    schedule = get_scheduler(kind, adamw, scheduler_specific_kwargs=kwargs)
    rates = []
    for value in values:
        schedule.step(value)
        rates.append(adamw.param_groups[0]["lr"])
    return rates


def draw(rng: random.Random, arguments: dict, share: float) -> dict:
    return {name: rng.choice(values) for name, values in arguments.items() if rng.random() < share}


def cases(rng: random.Random, count: int):
    for kind, arguments in ARGUMENTS.items():
        for n in range(count):
            kwargs = draw(rng, arguments, 0.6 if n else 0)
            if "min_lr" in arguments:
                kwargs.pop(rng.choice(["min_lr", "min_lr_rate"]), None)
                if not {"min_lr", "min_lr_rate"} & set(kwargs):
                    kwargs["min_lr_rate"] = 0.1
            if kind == "warmup_stable_decay":
                kwargs.setdefault("num_decay_steps", 2)
            steps = rng.choice([1, 2, 3, 6, 10, 17])
            warmup = rng.choice([0, 0, 1, 2, steps // 3, steps, steps + 3])
            if kind == "polynomial" and warmup == steps:
                warmup = 0
            rate = rng.choice([1e-3, 2e-5, 5e-4])
            if kwargs.get("lr_end", 1e-7) >= rate:
                kwargs.pop("lr_end")
            yield dict(type=kind, rate=rate, warmup=warmup, steps=steps, kwargs=kwargs, rates=by_steps(kind, rate, warmup, steps, kwargs))
    for kind, arguments in ADAPTIVE.items():
        for n in range(2 * count):
            kwargs = draw(rng, arguments, 0.6 if n else 0)
            values, value = [], 2.0
            for _ in range(40):
                value += rng.choice([-0.2, -0.05, -0.001, 0.0, 0.0, 0.05, 0.3]) * rng.random()
                values.append(value)
            rate = rng.choice([1e-3, 2e-5, 5e-4])
            yield dict(type=kind, rate=rate, kwargs=kwargs, values=values, rates=by_metric(kind, rate, values, kwargs))


def refusals():
    for kind, kwargs in WRONG:
        try:
            get_scheduler(kind, optimizer(1e-3), num_warmup_steps=1, num_training_steps=5, scheduler_specific_kwargs=kwargs)
        except (TypeError, ValueError):
            yield dict(type=kind, kwargs=kwargs)
            continue
        raise AssertionError(f"{kind} takes {kwargs}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=8)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name, values in (("rates", cases(random.Random(args.seed), args.count)), ("refused", refusals())):
        (args.out / f"{name}.json").write_text("[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in values) + "\n]\n")


if __name__ == "__main__":
    main()
