"""Ten optimizer steps of TRL's preference trainers on a tiny model (f32, CPU): what they log.

  python tools/oracle/preference.py OUT [--case NAME] [--seed N] [--mixture]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin starve whatever runs beside
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
import families_weights
import peft
import torch
import transformers
from families_cases import ATTENTION, MIXTRAL, SEVEN, model as config_of
from families_files import tidy_adapter_config
from families_weights import fill_adapter, fill_base
from preference_cases import COMMON, MIXTURES, ROWS, RUNS, Run
from training_data import VOCAB, make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
datasets.disable_progress_bars()
warnings.filterwarnings("ignore")

TRAINERS = {"dpo": (DPOTrainer, DPOConfig), "orpo": (ORPOTrainer, ORPOConfig), "kto": (KTOTrainer, KTOConfig), "cpo": (CPOTrainer, CPOConfig)}

#: TRL's ORPO and CPO have the balance loss only where the configuration says so
BALANCED = dict(**MIXTRAL, output_router_logits=True)


def write_model(out: Path, mixture: bool):
    """The base, its tokenizer and an adapter over it whose lora_B is not zero."""
    family = "mixtral" if mixture else "llama"
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **config_of(vocab_size=VOCAB, pad_token_id=0, **(BALANCED if mixture else {})))).float()
    fill_base(model, "preference")
    make_tokenizer().save_pretrained(out / "model")
    model.save_pretrained(out / "model")
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=ATTENTION if mixture else SEVEN))
    fill_adapter(model, "preference")
    with tempfile.TemporaryDirectory() as temp:
        model.save_pretrained(temp)
        (out / "adapter").mkdir(exist_ok=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(Path(temp) / name, out / "adapter" / name)
    tidy_adapter_config(out / "adapter" / "adapter_config.json")


def base(out: Path):
    return AutoModelForCausalLM.from_pretrained(out / "model", dtype=torch.float32)


def write_run(out: Path, run: Run):
    trainer_of, config_of = TRAINERS[run.trainer]
    args = {**COMMON, **run.args}
    model = base(out)
    if run.adapter:
        model = peft.PeftModel.from_pretrained(model, out / "adapter", is_trainable=True)
    given = dict(ref_model=base(out)) if run.reference == "base" else {}
    rows = {name: datasets.Dataset.from_list(ROWS[name]()) if name else None for name in (run.rows, run.evaluation)}
    with tempfile.TemporaryDirectory() as temp:
        config = config_of(output_dir=temp, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", disable_tqdm=True, **args)
        trainer = trainer_of(
            model=model, args=config, train_dataset=rows[run.rows], eval_dataset=rows[run.evaluation],
            processing_class=AutoTokenizer.from_pretrained(out / "model"), **given,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    log = [{key: value for key, value in entry.items() if "runtime" not in key and "per_second" not in key} for entry in trainer.state.log_history[:-1]]
    if run.trainer in ("orpo", "cpo"):  # means over padding, which nothing here has
        log = [{key: value for key, value in entry.items() if "logits/" not in key} for entry in log]
    head = dict(trainer=run.trainer, adapter=run.adapter, reference=run.reference, rows=run.rows, evaluation=run.evaluation, args=args)
    text = json.dumps(head)[:-1] + ', "log": [\n' + ",\n".join(json.dumps(entry) for entry in log) + "\n]}\n"
    (out / "runs" / f"{run.name}.json").write_text(text)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    print(f"{run.name:18} loss {losses[0]:.4f} -> {losses[-1]:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--case", choices=[run.name for run in RUNS])
    parser.add_argument("--seed", type=int, default=0, help="other weights than those recorded")
    parser.add_argument("--mixture", action="store_true", help="a Mixtral, with its balance loss, through some of the cases")
    args = parser.parse_args()
    families_weights.seed = args.seed
    out = args.out.resolve()
    (out / "runs").mkdir(parents=True, exist_ok=True)
    write_model(out, args.mixture)
    for name, rows in ROWS.items():
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    for run in RUNS:
        if args.case in (None, run.name) and (not args.mixture or run.name in MIXTURES):
            write_run(out, run)


if __name__ == "__main__":
    main()
