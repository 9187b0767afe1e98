"""TRL's side of bench/pair-folds.ts: DPOTrainer over the same rows in the same order, from the same starting adapter.

  python bench/trl_pair_folds.py MODEL FOLDER     MODEL: a GGUF or a folder; FOLDER: args.json, rows/train.json, rows/test.json, start/
Prints one line of JSON: what was logged, what was evaluated."""
import json, os, sys

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets, peft, torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

path, work = sys.argv[1:3]
with open(f"{work}/args.json") as f:
    args = json.load(f)
torch.set_num_threads(args["threads"])
datasets.disable_progress_bars()
transformers.logging.set_verbosity_error()
dtype = getattr(torch, args["dtype"])
if os.path.isdir(path):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path, dtype=dtype), AutoTokenizer.from_pretrained(path)
else:
    folder, name = os.path.split(path)
    packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # transformers keeps a GGUF's weights packed: an ordinary model with the same values
    model = type(packed)(packed.config).to(dtype)
    model.load_state_dict(packed.state_dict())
    del packed
ROLES = {"human": "user", "gpt": "assistant"}


def message(given):
    return dict(role=ROLES.get(given.get("from"), given.get("role", given.get("from"))), content=given.get("value", given.get("content")))


def rows(name):
    with open(f"{work}/rows/{name}.json") as f:
        given = json.load(f)
    if "conversations" not in given[0]:
        return datasets.Dataset.from_list([{key: one[key] for key in ("prompt", "chosen", "rejected")} for one in given])
    whole = [dict(prompt=[message(m) for m in one["conversations"]], chosen=[message(one["chosen"])], rejected=[message(one["rejected"])]) for one in given]
    return datasets.Dataset.from_list(whole)


config = DPOConfig(
    output_dir=f"{work}/trl", use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", disable_tqdm=True, logging_steps=1, save_strategy="no",
    max_length=args["maxLength"], beta=args["beta"], per_device_train_batch_size=args["perDeviceTrainBatchSize"],
    per_device_eval_batch_size=args["perDeviceEvalBatchSize"], num_train_epochs=args["numTrainEpochs"], max_steps=args["maxSteps"],
    learning_rate=args["learningRate"], lr_scheduler_type=args["lrSchedulerType"], warmup_steps=args["warmupSteps"], train_sampling_strategy="sequential",
)
trainer = DPOTrainer(
    model=peft.PeftModel.from_pretrained(model, f"{work}/start", is_trainable=True), args=config, train_dataset=rows("train"), eval_dataset=rows("test"),
    processing_class=tokenizer,
)
trainer.train()
evaluated = trainer.evaluate()
log = [entry for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps(dict(log=log, evaluated=evaluated)))
