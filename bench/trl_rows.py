"""`trl_rows.py TOKENIZER ROWS.jsonl PROCESSES`: seconds that TRL's SFTTrainer takes to prepare rows of text, its cache off."""

import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # processes share the cores
from datasets import Dataset, disable_caching, disable_progress_bars
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

folder, path, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
disable_caching()
disable_progress_bars()
tokenizer = AutoTokenizer.from_pretrained(folder)
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
with open(path, encoding="utf-8") as lines:
    rows = Dataset.from_list([json.loads(line) for line in lines])
tiny = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1)
prepare, took = SFTTrainer._prepare_dataset, []


def timed(self, *args, **kwargs):
    begun = time.perf_counter()
    prepared = prepare(self, *args, **kwargs)
    took.append(time.perf_counter() - begun)
    return prepared


SFTTrainer._prepare_dataset = timed
trainer = SFTTrainer(
    model=LlamaForCausalLM(LlamaConfig(vocab_size=16, **tiny)),
    args=SFTConfig(output_dir=os.path.join(os.path.dirname(path), "trl"), dataset_num_proc=processes, report_to=[], use_cpu=True, bf16=False),
    train_dataset=rows,
    processing_class=tokenizer,
)
ids = trainer.train_dataset["input_ids"]
print(json.dumps({"seconds": took[0], "rows": len(rows), "tokens": sum(len(row) for row in ids)}))
