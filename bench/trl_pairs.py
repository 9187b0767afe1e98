"""TRL's side of bench/pairs.ts: DPOTrainer over the same rows in the same order, LoRA r 16 on the seven projections, bf16 (DTYPE: float32).

  python bench/trl_pairs.py MODEL ROWS THREADS STEPS BATCH MAX_LENGTH [DTYPE]     MODEL: a GGUF or a folder
  python bench/trl_pairs.py MODEL ROWS cuda STEPS BATCH MAX_LENGTH        over NF4 on a card, 8-bit AdamW, as TRL checkpoints gradients by default
Prints one line of JSON."""
import json, os, sys, tempfile, time

os.environ["HF_HUB_OFFLINE"] = "1"
import datasets, peft, torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import DPOConfig, DPOTrainer

path, rows_file, where = sys.argv[1:4]
steps, batch, max_length = map(int, sys.argv[4:7])
dtype = getattr(torch, sys.argv[7] if len(sys.argv) > 7 else "bfloat16")
card = where == "cuda"
if not card:
    torch.set_num_threads(int(where))
torch.manual_seed(0)
datasets.disable_progress_bars()
transformers.logging.set_verbosity_error()
if card:
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.bfloat16, quantization_config=nf4, device_map={"": 0})
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.pad_token = tokenizer.eos_token
elif os.path.isdir(path):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path, dtype=dtype), AutoTokenizer.from_pretrained(path)
else:
    folder, name = os.path.split(path)
    packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    # transformers keeps a GGUF's weights packed, which is slow: an ordinary model with the same values, as a user would have downloaded it
    model = type(packed)(packed.config).to(dtype)
    model.load_state_dict(packed.state_dict())
    del packed
ROLES = {"human": "user", "gpt": "assistant"}


def message(given):
    return dict(role=ROLES.get(given.get("from"), given.get("role", given.get("from"))), content=given.get("value", given.get("content")))


def row(given):
    if "conversations" not in given:
        return {key: given[key] for key in ("prompt", "chosen", "rejected")}
    return dict(prompt=[message(one) for one in given["conversations"]], chosen=[message(given["chosen"])], rejected=[message(given["rejected"])])


with open(rows_file) as f:
    text = f.read()
rows = [row(one) for one in (json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines()))]
ends, cpu_ends, losses = [], [], []


class Clock(TrainerCallback):
    def on_step_begin(self, *_, **__):
        self.began, self.cpu_began = time.time(), time.process_time()

    def on_step_end(self, *_, **__):
        ends.append(time.time() - self.began)
        cpu_ends.append(time.process_time() - self.cpu_began)

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" in logs:
            losses.append(logs["loss"])


targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
config = DPOConfig(
    output_dir=tempfile.mkdtemp(), use_cpu=not card, bf16=card, gradient_checkpointing=card, report_to="none", disable_tqdm=True, max_length=max_length,
    per_device_train_batch_size=batch, max_steps=steps, train_sampling_strategy="sequential", learning_rate=1e-5, lr_scheduler_type="constant",
    logging_steps=1, save_strategy="no", **(dict(optim="adamw_8bit") if card else {}),
)
trainer = DPOTrainer(
    model=model, args=config, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer,
    peft_config=peft.LoraConfig(r=16, lora_alpha=16, task_type="CAUSAL_LM", target_modules=targets), callbacks=[Clock()],
)
trainer.train()
median = lambda list: sorted(list[1:])[(len(list) - 1) // 2]
print(json.dumps(dict(who="TRL", stepSeconds=median(ends), referenceSecondsPerPair=0, cpuSecondsPerPair=median(cpu_ends) / batch, losses=losses)))
