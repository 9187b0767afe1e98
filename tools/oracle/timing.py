"""When TRL's SFTTrainer logs, evaluates and saves, and what it logs then, over the model and rows recorded by training.py.

  python tools/oracle/timing.py OUT [--recorded test/fixtures/training/evaluation] [--seed N]

The layout of OUT/ is described in tools/oracle/README.md."""
import argparse
import json
import os
import random
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
datasets.disable_progress_bars()
warnings.filterwarnings("ignore")

STEPS = dict(eval_strategy="steps")
EPOCHS = dict(eval_strategy="epoch")
BEST = dict(load_best_model_at_end=True)
# the first evaluation stays the best
RISING = dict(greater_is_better=True)
PLATEAU = dict(lr_scheduler_type="reduce_lr_on_plateau")
# rows, then arguments; 10 rows in batches of 4 make epochs of three steps
CASES = [
    (10, dict(max_steps=3, **STEPS, eval_steps=2)),
    (10, dict(max_steps=4, **STEPS, eval_steps=2)),
    (10, dict(max_steps=7, **STEPS, eval_steps=3, eval_delay=4)),
    (10, dict(max_steps=4, **STEPS, eval_steps=3, eval_delay=2)),
    (10, dict(max_steps=3, **STEPS, eval_steps=5, eval_delay=4)),
    (10, dict(max_steps=5, **STEPS, logging_steps=2)),
    (10, dict(max_steps=10, **STEPS, eval_steps=0.25, logging_steps=0.3, save_steps=0.5)),
    (10, dict(num_train_epochs=2, **EPOCHS)),
    (10, dict(num_train_epochs=3, **EPOCHS, eval_delay=2)),
    (10, dict(num_train_epochs=3, **EPOCHS, eval_delay=1.5)),
    (10, dict(max_steps=4, **EPOCHS)),
    (10, dict(num_train_epochs=1.5, **EPOCHS)),
    (12, dict(num_train_epochs=2, **EPOCHS, gradient_accumulation_steps=2)),
    (12, dict(num_train_epochs=2, **STEPS, eval_steps=3, gradient_accumulation_steps=2, logging_steps=3)),
    (10, dict(max_steps=4, **STEPS, eval_steps=2, eval_on_start=True)),
    (10, dict(max_steps=4, **EPOCHS, eval_on_start=True, eval_delay=1)),
    (10, dict(max_steps=4, **STEPS, eval_steps=2, dataloader_drop_last=True)),
    (10, dict(num_train_epochs=2, **EPOCHS, save_strategy="steps", save_steps=3, logging_strategy="epoch")),
    (10, dict(num_train_epochs=2, **STEPS, eval_steps=3, save_strategy="epoch", logging_strategy="epoch")),
    (10, dict(num_train_epochs=2, **EPOCHS, save_strategy="epoch", logging_steps=2)),
    (10, dict(max_steps=4, logging_strategy="epoch", logging_first_step=True)),
    (4, dict(max_steps=3, **EPOCHS, logging_strategy="epoch", logging_first_step=True)),
    (10, dict(max_steps=5, logging_steps=3, logging_first_step=True, save_steps=2)),
    (10, dict(max_steps=3, logging_strategy="no", save_strategy="no")),
    (10, dict(max_steps=8, **STEPS, eval_steps=1, **PLATEAU, lr_scheduler_kwargs=dict(patience=0, threshold=0.5, cooldown=1))),
    (10, dict(max_steps=8, **STEPS, eval_steps=2, eval_on_start=True, **PLATEAU, lr_scheduler_kwargs=dict(patience=0, factor=0.5, threshold=0.5), metric_for_best_model="mean_token_accuracy")),
    (10, dict(max_steps=8, **STEPS, eval_steps=1, eval_on_start=True, lr_scheduler_type="greedy", lr_scheduler_kwargs=dict(patience=0, min_lr=1e-5, threshold=0.02))),
    (10, dict(num_train_epochs=3, **EPOCHS, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs=dict(num_cycles=2), warmup_steps=2)),
    (10, dict(max_steps=8, **STEPS, eval_steps=1, save_steps=1, **BEST, save_total_limit=1, **RISING)),
    (10, dict(max_steps=8, **STEPS, eval_steps=2, save_steps=4, **BEST, save_total_limit=2, **RISING)),
    (10, dict(max_steps=8, **STEPS, eval_steps=1, save_steps=2, **BEST, metric_for_best_model="mean_token_accuracy")),
    (10, dict(num_train_epochs=4, **EPOCHS, save_strategy="epoch", **BEST, metric_for_best_model="eval_entropy", greater_is_better=True, save_total_limit=2)),
    (10, dict(max_steps=8, **STEPS, eval_steps=1, save_strategy="best", metric_for_best_model="loss", **RISING)),
    (10, dict(max_steps=8, **STEPS, eval_steps=2, save_strategy="best", **BEST, eval_on_start=True, save_total_limit=1)),
    (10, dict(max_steps=12, **STEPS, eval_steps=1, save_steps=1, **BEST, early_stopping_patience=2, save_total_limit=1, **RISING)),
    (10, dict(max_steps=12, **STEPS, eval_steps=1, save_steps=1, **BEST, early_stopping_patience=2, early_stopping_threshold=0.2, logging_strategy="epoch")),
    (10, dict(num_train_epochs=6, **EPOCHS, save_strategy="epoch", **BEST, early_stopping_patience=1, **RISING, eval_on_start=True)),
    (12, dict(max_steps=12, **STEPS, eval_steps=2, save_strategy="epoch", metric_for_best_model="loss", early_stopping_patience=1, **RISING, gradient_accumulation_steps=2)),
]
COMMON = dict(per_device_train_batch_size=4, per_device_eval_batch_size=4, learning_rate=5e-3, logging_steps=1, save_steps=4, seed=42, max_length=128)
KEPT = ("loss", "grad_norm", "learning_rate", "entropy", "mean_token_accuracy", "num_tokens", "epoch", "eval_loss", "eval_entropy", "eval_mean_token_accuracy", "eval_num_tokens")


class Recorder(TrainerCallback):
    def __init__(self):
        self.events = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "train_runtime" in logs:
            return
        # what the trainer keeps: log_history's last entry
        entry = {key: value for key, value in state.log_history[-1].items() if key in KEPT}
        self.events.append(dict(type="eval" if "eval_loss" in logs else "log", step=state.global_step, **entry))

    def on_save(self, args, state, control, **kwargs):
        self.events.append(dict(type="save", step=state.global_step))


def run(recorded: Path, rows: int, given: dict) -> list[dict]:
    model = AutoModelForCausalLM.from_pretrained(recorded / "model", dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, recorded / "adapter", is_trainable=True)
    read = lambda name: datasets.Dataset.from_list([json.loads(line) for line in (recorded / name).read_text().splitlines()])
    recorder = Recorder()
    given = dict(given)
    stopping = [EarlyStoppingCallback(given.pop("early_stopping_patience"), given.pop("early_stopping_threshold", 0.0))] if "early_stopping_patience" in given else []
    with tempfile.TemporaryDirectory() as temp:
        config = SFTConfig(output_dir=temp, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", disable_tqdm=True, **{**COMMON, **given})
        trainer = SFTTrainer(
            model=model, args=config, train_dataset=read("train.jsonl").select(range(rows)), eval_dataset=read("eval.jsonl"),
            processing_class=AutoTokenizer.from_pretrained(recorded / "model"), callbacks=[recorder, *stopping],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        events = [*recorder.events]
        state = trainer.state
        kept = sorted(int(path.name.split("-")[1]) for path in Path(temp).glob("checkpoint-*"))
        trainer.remove_callback(Recorder)
        best = dict(best_step=state.best_global_step, best_metric=state.best_metric) if state.best_metric is not None else {}
        # the model as the run leaves it
        events.append(dict(type="end", step=state.global_step, **best, kept=",".join(map(str, kept)), eval_loss=trainer.evaluate()["eval_loss"]))
    return events


def drawn(rng: random.Random) -> tuple[int, dict]:
    """Arguments put together at random."""
    strategy = lambda: rng.choice(["no", "steps", "epoch"])
    given = dict(
        eval_strategy=strategy(), save_strategy=strategy(), logging_strategy=strategy(), logging_first_step=rng.random() < 0.3,
        eval_steps=rng.choice([1, 2, 3, 0.4]), save_steps=rng.choice([2, 3]), logging_steps=rng.choice([1, 2, 0.3]), eval_delay=rng.choice([0, 0, 1, 1.5, 3]),
        dataloader_drop_last=rng.random() < 0.3, gradient_accumulation_steps=rng.choice([1, 1, 2]), warmup_steps=rng.choice([0, 2, 0.3]),
        lr_scheduler_type=rng.choice(["linear", "cosine", "cosine_with_restarts", "inverse_sqrt"]),
    )
    if rng.random() < 0.3 and given["eval_strategy"] != "no":
        given["eval_on_start"] = True
    if given["eval_strategy"] != "no" and rng.random() < 0.5:
        given |= dict(save_strategy=rng.choice([given["eval_strategy"], "best"]), save_steps=rng.choice([2, 4]), eval_steps=rng.choice([1, 2]), metric_for_best_model=rng.choice(["loss", "mean_token_accuracy"]))
        given |= dict(load_best_model_at_end=rng.random() < 0.7, save_total_limit=rng.choice([None, 1, 2]), greater_is_better=rng.choice([None, True, False]))
        if rng.random() < 0.6:
            given |= dict(early_stopping_patience=rng.choice([1, 2]), early_stopping_threshold=rng.choice([0.0, 0.1]))
    given |= dict(max_steps=rng.choice([3, 5, 7])) if rng.random() < 0.5 else dict(num_train_epochs=rng.choice([1, 2, 1.5]))
    return rng.choice([8, 10, 12]), given


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recorded", type=Path, default=Path(__file__).parents[2] / "test/fixtures/training/evaluation")
    parser.add_argument("--seed", type=int, help="arguments drawn at random instead")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    cases = CASES if args.seed is None else [drawn(rng) for _ in range(30)]
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(dict(rows=rows, args={**COMMON, **given}, events=run(args.recorded.resolve(), rows, given)), separators=(",", ":")) for rows, given in cases]
    (args.out / "timing.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
