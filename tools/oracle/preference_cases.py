"""The cases of preference.py: which trainer, which of its arguments, what is trained and what the reference is."""
import random
from dataclasses import dataclass, field
from typing import Any

from training_data import COLOURS, PLACES, THINGS, prompt_rows, sentence


@dataclass
class Run:
    name: str
    args: dict[str, Any] = field(default_factory=dict)
    trainer: str = "dpo"
    # what is trained: the adapter that is there, or every weight
    adapter: bool = True
    # what rows are measured against: None is what the trainer takes by itself
    reference: str | None = None
    rows: str = "pairs"
    evaluation: str | None = None


def pairs(count: int, seed: int) -> list[dict]:
    """Prompts that begin alike, answers of other lengths; some answers begin alike too, none is the chosen one again."""
    r = random.Random(seed)
    rows = []
    for row in prompt_rows(count, seed):
        wrong = [f" it is {r.choice(COLOURS)}.", f" a {r.choice(THINGS)}.", f" it stands {r.choice(PLACES)}, they say, and {sentence(r)}"]
        rows.append(dict(prompt=row["prompt"], chosen=row["completion"], rejected=r.choice([one for one in wrong if one != row["completion"]])))
    return rows


def rated(count: int, seed: int) -> list[dict]:
    """Wanted and unwanted answers, unevenly, so that micro-batches of one side alone occur."""
    r = random.Random(seed)
    return [
        dict(prompt=row["prompt"], completion=row["chosen"] if wanted else row["rejected"], label=wanted)
        for row in pairs(count, seed)
        for wanted in [r.random() < 0.6]
    ]


ROWS = {"pairs": lambda: pairs(22, 11), "few": lambda: pairs(6, 12), "rated": lambda: rated(22, 13), "rated-few": lambda: rated(6, 14)}

# 22 rows in batches of 4 make epochs of 6 steps, the last of 2 rows; 10 steps end in the second
COMMON = dict(max_steps=10, logging_steps=1, save_strategy="no", seed=42, max_length=160, learning_rate=2e-3, lr_scheduler_type="constant", per_device_train_batch_size=4)
CUTS = dict(per_device_train_batch_size=2, gradient_accumulation_steps=2)
DPO_LOSSES = ["hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft", "sigmoid_norm"]

RUNS = [
    Run("sigmoid"),
    Run("accumulated", CUTS),
    Run("evaluated", dict(eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=4, beta=0.5), evaluation="few"),
    Run("full", dict(learning_rate=2e-4), adapter=False),
    Run("against-the-base", dict(beta=0.3), reference="base"),
    *[Run(loss, dict(loss_type=[loss], **(CUTS if i % 2 else {})), reference="base" if i % 3 == 0 else None) for i, loss in enumerate(DPO_LOSSES)],
    Run("exo", dict(loss_type=["exo_pair"], label_smoothing=1e-3), reference="base"),
    Run("robust", dict(loss_type=["robust"], label_smoothing=0.1)),
    Run("aot-smoothed", dict(loss_type=["aot"], label_smoothing=0.2, **CUTS), reference="base"),
    Run("mixture", dict(loss_type=["sigmoid", "bco_pair", "sft"], loss_weights=[0.8, 0.2, 1.0], **CUTS)),
    Run("ld-alpha", dict(ld_alpha=0.3), reference="base"),
    Run("ld-alpha-ipo", dict(ld_alpha=0.0, loss_type=["ipo"])),
    Run("wpo", dict(use_weighting=True, **CUTS)),
    Run("forward-kl", dict(f_divergence_type="forward_kl"), reference="base"),
    Run("js", dict(f_divergence_type="js_divergence", loss_type=["hinge"]), reference="base"),
    Run("alpha", dict(f_divergence_type="alpha_divergence", f_alpha_divergence_coef=0.7), reference="base"),
    Run("kto", trainer="kto", rows="rated"),
    Run("kto-accumulated", dict(desirable_weight=1.3, undesirable_weight=0.7, **CUTS), trainer="kto", rows="rated", reference="base"),
    Run("kto-evaluated", dict(eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=3, beta=0.5), trainer="kto", rows="rated", evaluation="rated-few", reference="base"),
    Run("kto-full", dict(learning_rate=2e-4), trainer="kto", rows="rated", adapter=False),
    Run("kto-pairs", dict(max_length=100), trainer="kto", reference="base"),
    Run("kto-apo", dict(loss_type="apo_zero_unpaired", train_sampling_strategy="random", **CUTS), trainer="kto", rows="rated"),
    Run("cpo", dict(label_smoothing=0.1), trainer="cpo"),
    Run("simpo", dict(loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0, **CUTS), trainer="cpo"),
    Run("alphapo", dict(loss_type="alphapo", alpha=0.2, beta=2.0), trainer="cpo"),
    Run("cpo-ipo", dict(loss_type="ipo", cpo_alpha=0.5), trainer="cpo"),
    Run("cpo-hinge", dict(loss_type="hinge", eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=4), trainer="cpo", evaluation="few"),
    Run("orpo", trainer="orpo"),
    Run("orpo-accumulated", dict(beta=0.4, **CUTS), trainer="orpo"),
    Run("orpo-evaluated", dict(eval_strategy="steps", eval_steps=5, per_device_eval_batch_size=4), trainer="orpo", evaluation="few"),
    Run("orpo-full", dict(learning_rate=2e-4), trainer="orpo", adapter=False),
    Run("orpo-cut", dict(max_length=100), trainer="orpo"),
    Run("cut", dict(max_length=100)),
    Run("cut-start", dict(max_length=40, truncation_mode="keep_end")),
]

# those that a mixture of experts goes through
MIXTURES = ["sigmoid", "accumulated", "kto-apo", "orpo-accumulated", "cpo-hinge"]
