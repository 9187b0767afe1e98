"""30 optimizer steps of TRL's SFTTrainer on tiny models (f32, CPU): what it consumed, what it logged, what it left behind.

  python tools/oracle/training.py OUT [--case NAME] [--seed N]

The layout of OUT/<case>/ is described in tools/oracle/README.md."""
import argparse
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin starve whatever runs beside
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
import families_weights
import peft
import torch
import transformers
from families_compute import coefficient, step
from families_files import tidy_adapter_config
from families_weights import fill_adapter, fill_base
from nf4 import by_hand, misread, quantised
from training_cases import COMMON, RUNS, Run
from training_data import make_tokenizer
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, Trainer
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
datasets.disable_progress_bars()
warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def unpad(batch) -> list[dict]:
    """The rows of a collated batch, without padding. Padding-free batches are one line of rows whose positions start at 0."""
    rows = []
    for i, ids in enumerate(batch["input_ids"]):
        if "attention_mask" in batch:
            spans = [(0, int(batch["attention_mask"][i].sum()))]
        else:
            starts = (batch["position_ids"][i] == 0).nonzero()[:, 0].tolist()
            spans = list(zip(starts, starts[1:] + [len(ids)]))
        for a, b in spans:
            targets = (batch["labels"][i, a:b] != -100).int()
            targets[0] = 0  # nothing predicts a row's first token
            rows.append(dict(ids=ids[a:b].tolist(), targets=targets.tolist()))
    return rows


class Recorder(SFTTrainer):
    """Keeps the batches in the order they were trained on and evaluated."""

    def __init__(self, *args, **kwargs):
        self.steps, self.evaluated = [], []
        super().__init__(*args, **kwargs)

    def get_batch_samples(self, *args):
        batches, count = super().get_batch_samples(*args)
        if batches:
            self.steps.append([unpad(batch) for batch in batches])
            assert count == sum(sum(row["targets"]) for batch in self.steps[-1] for row in batch), "targets counted differently"
        return batches, count

    def prediction_step(self, model, inputs, *args, **kwargs):
        if self.state.global_step == self.args.eval_steps:
            self.evaluated.append(unpad(inputs))
        return super().prediction_step(model, inputs, *args, **kwargs)


def make_model(run: Run):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(run.family, **run.config), experts_implementation="eager").float()
    fill_base(model, run.name)
    return model


def make_base(run: Run, layers: str | None):
    """As it is trained over. layers: `values` (linears of f32 that hold what NF4's codes and scales are), `bitsandbytes` (its own), None (as they were)."""
    model = make_model(run)
    if layers is None:
        return model
    # bitsandbytes trains over its own file, codes of scales included; who quantises anew may round one of those to its neighbour
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=run.nf4 == "bitsandbytes", bnb_4bit_compute_dtype=torch.float32)
    with tempfile.TemporaryDirectory() as temp:
        model.save_pretrained(temp)
        twin = AutoModelForCausalLM.from_pretrained(temp, dtype=torch.float32, quantization_config=four, device_map="cpu")
    if layers == "bitsandbytes":
        assert not misread(twin), misread(twin)
        return twin
    for name, module in quantised(twin).items():
        model.get_submodule(name).weight.data = by_hand(module.weight)
    return model


def add_adapter(model, run: Run):
    if run.adapter is None:
        return model
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **run.adapter))
    fill_adapter(model, run.name)
    for module in model.modules():
        if isinstance(module, peft.utils.TrainableTokensWrapper):
            module.bias = None  # TRL's loss reads the head's bias, which PEFT's wrapper of a tied head lacks: it would end there
    return model


def save(model, folder: Path, files: list[str]):
    with tempfile.TemporaryDirectory() as temp:
        model.save_pretrained(temp)
        folder.mkdir(parents=True)
        for name in files:
            shutil.copy(Path(temp) / name, folder / name)
    if "adapter_config.json" in files:
        tidy_adapter_config(folder / "adapter_config.json")


def dump(path: Path, value, a_line_each=False):
    text = "[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in value) + "\n]" if a_line_each else json.dumps(value, indent=2)
    path.write_text(text + "\n")


def lines(path: Path, rows: list[dict]):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def check_first_step(trainer: Recorder, run: Run):
    """The recorded rows explain the first logged loss and gradient norm: computed one by one, without padding or packing; where frequencies
    are chosen by the longest row, or experts balanced, by micro-batches."""
    model = add_adapter(make_base(run, run.nf4 and "values"), run)
    if "router_aux_loss_coef" in run.args:
        model.config.router_aux_loss_coef = run.args["router_aux_loss_coef"]
    rows = [row for batch in trainer.steps[0] for row in batch]
    numbers = iter(range(len(rows)))
    whole = run.family == "phi3" or coefficient(model)
    batches = [[next(numbers) for _ in batch] for batch in trainer.steps[0]] if whole else None
    _, loss, _ = step(model, rows, batches, dynamic=run.args.get("loss_type") == "dft")
    norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]))
    first = trainer.state.log_history[0]
    assert abs(loss.item() - first["loss"]) < 1e-5 * first["loss"] and abs(norm.item() - first["grad_norm"]) < 1e-4 * norm.item(), (loss, norm, first)


def own_rates(model, config, rates: dict):
    """The optimizer where some tensors have a learning rate of their own, as PEFT and Unsloth group them."""
    if not rates:
        return None
    cls, kwargs = Trainer.get_optimizer_cls_and_kwargs(config)
    if "loraplus_lr_ratio" in rates:
        return create_loraplus_optimizer(model, cls, loraplus_weight_decay=config.weight_decay, **rates, **kwargs)
    whole = [param for name, param in model.named_parameters() if param.requires_grad and name.endswith("modules_to_save.default.weight")]
    rest = [param for param in model.parameters() if param.requires_grad and not any(param is one for one in whole)]
    groups = [dict(params=rest, lr=config.learning_rate), dict(params=whole, lr=rates["embedding_learning_rate"])]
    return cls([dict(weight_decay=config.weight_decay, **group) for group in groups], **kwargs)


def write_run(out: Path, run: Run):
    folder = out / run.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = make_tokenizer()
    trained = ["model.safetensors"] if run.adapter is None else ["adapter_config.json", "adapter_model.safetensors"]

    model = make_base(run, "bitsandbytes") if run.nf4 == "bitsandbytes" else make_model(run)
    save(model, folder / "model", ["config.json", "generation_config.json", "model.safetensors"])
    tokenizer.save_pretrained(folder / "model")
    model = add_adapter(make_base(run, run.nf4), run)
    if run.adapter is not None:
        save(model, folder / "adapter", trained)
    for name, rows in (("train", run.rows), ("eval", run.evaluation)):
        if rows:
            lines(folder / f"{name}.jsonl", rows)
    args = {**COMMON, **run.args}
    dump(folder / "args.json", args)
    if run.nf4:
        dump(folder / "base.json", dict(load_in_4bit=True, use_bnb_nested_quant=run.nf4 == "bitsandbytes"))

    with tempfile.TemporaryDirectory() as temp:
        # a relative output folder, so that no file names this machine's
        here = os.getcwd()
        os.chdir(temp)
        try:
            rates = {name: args[name] for name in ("loraplus_lr_ratio", "loraplus_lr_embedding", "embedding_learning_rate") if name in args}
            args = {name: value for name, value in args.items() if name not in rates}
            config = SFTConfig(output_dir="out", use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", disable_tqdm=True, **args)
            data = datasets.Dataset.from_list(run.rows)
            evaluation = datasets.Dataset.from_list(run.evaluation) if run.evaluation else None
            begin = {name: p.data.clone() for name, p in model.named_parameters() if p.requires_grad}
            trainer = Recorder(model=model, args=config, train_dataset=data, eval_dataset=evaluation, processing_class=tokenizer, optimizers=(own_rates(model, config, rates), None))
            trainer.remove_callback(transformers.PrinterCallback)
            for name, values in begin.items():
                model.get_parameter(name).data = values  # TRL turns the adapter of a 4-bit base to bf16
            trainer.train()
            shutil.copy(f"out/checkpoint-{config.max_steps}/trainer_state.json", folder / "trainer_state.json")
            dump(folder / "checkpoints.json", {p.name: sorted(f.name for f in p.iterdir()) for p in sorted(Path("out").iterdir()) if p.is_dir()})
        finally:
            os.chdir(here)
    save(model, folder / "final", trained)
    dump(folder / "steps.json", trainer.steps, a_line_each=True)
    if config.packing:
        packs = [dict(ids=pack["input_ids"], lengths=pack["seq_lengths"]) for pack in trainer.train_dataset]
        dump(folder / "packs.json", packs, a_line_each=True)
    if run.evaluation:
        dump(folder / "evaluated.json", trainer.evaluated, a_line_each=True)
    dump(folder / "log_history.json", trainer.state.log_history, a_line_each=True)

    check_first_step(trainer, run)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == len(trainer.steps) == config.max_steps
    # a token's p · −log p rises while its p is small
    assert losses[-1] < losses[0] or run.args.get("loss_type") == "dft"
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{run.name:22} loss {losses[0]:.4f} -> {losses[-1]:.4f}  {size / 1024:.0f} kB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--case", choices=[run.name for run in RUNS])
    parser.add_argument("--seed", type=int, default=0, help="other weights than those recorded")
    args = parser.parse_args()
    families_weights.seed = args.seed
    for run in RUNS:
        if args.case in (None, run.name):
            write_run(args.out.resolve(), run)  # training changes the working directory


if __name__ == "__main__":
    main()
