"""Token ids, targets, packs and orders of rows as tokenizers, transformers and TRL make them.

  python tools/oracle/data.py OUT

OUT/ holds: tokenizers/<kind>/, four small trained tokenizers as checkpoints carry them; tokens/<kind>.json, texts as ids and back;
chats.json and chats/<kind>.json, conversations through chat templates, with ids and assistant masks; rows/<case>.json, rows of every
shape, the settings and what SFTTrainer makes of them (ids, targets, lengths of packed rows); orders.json, which rows stood in which batch
of which optimizer step; rows.parquet. 45 s; a second run writes the same bytes."""
import argparse
import json
import logging
import os
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
import torch
import transformers
import trl
from data_cases import CASES, CHATS, ORDERS, TEMPLATES, texts
from data_tokenizers import KINDS, write
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
datasets.disable_progress_bars()
warnings.filterwarnings("ignore")
logging.getLogger("trl").setLevel(logging.ERROR)  # the cases mean what TRL warns of
logging.getLogger("trl.trainer.sft_trainer").setLevel(logging.ERROR)


def record_tokens(tokenizer) -> dict:
    """Every text with and without special tokens, and back."""
    plain = [tokenizer(t, add_special_tokens=False)["input_ids"] for t in texts()]
    return dict(
        size=len(tokenizer),
        special={name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")},
        texts=texts(),
        ids=[tokenizer(t)["input_ids"] for t in texts()],
        plain=plain,
        decoded=[tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in plain],
        without_special=[tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False) for ids in plain],
    )


def record_chats(tokenizer) -> list[dict]:
    """The tokenizer's own template and the small ones, on every conversation: text, ids and what the assistant wrote; or that it fails."""
    cases = []
    for template in [None, *TEMPLATES]:
        for i, chat in enumerate(CHATS):
            given = dict(chat, chat_template=template, conversation=chat["messages"])
            del given["messages"]
            case = dict(template=template, chat=i)
            try:
                case["text"] = tokenizer.apply_chat_template(**given, tokenize=False)
            except Exception as error:
                cases.append(dict(case, error=type(error).__name__))
                continue
            case["ids"] = tokenizer.apply_chat_template(**given)["input_ids"]
            if "generation" in (template or tokenizer.chat_template).replace("add_generation_prompt", ""):
                case["mask"] = tokenizer.apply_chat_template(**given, return_assistant_tokens_mask=True)["assistant_masks"]
            cases.append(case)
    return cases


def tiny_model(tokenizer):
    config = AutoConfig.for_model("llama", vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    return AutoModelForCausalLM.from_config(config).float()


def settings(folder: str, **more) -> SFTConfig:
    return SFTConfig(output_dir=folder, report_to=[], disable_tqdm=True, use_cpu=True, bf16=False, gradient_checkpointing=False, **{"max_length": 1024, "save_strategy": "no", **more})


def record_rows(name: str, kind: str, tokenizer, rows: list[dict], options: dict, folder: str, formatting_func=None) -> dict:
    """What SFTTrainer makes of the rows before it trains."""
    given = datasets.Dataset.from_list(rows)
    args = settings(folder, **options)
    trainer = SFTTrainer(tiny_model(tokenizer), args, train_dataset=given, processing_class=tokenizer, formatting_func=formatting_func)
    made = trainer.train_dataset
    expected = [dict(ids=r["input_ids"], targets=[int(x != -100) for x in r["labels"]]) for r in made]
    if "seq_lengths" in made.column_names:
        for example, row in zip(expected, made):
            example["lengths"] = row["seq_lengths"]
    return dict(name=name, tokenizer=kind, options=options, rows=rows, expected=expected)


class Ordered(SFTTrainer):
    """Writes down which row (its second token) stood where, and trains on nothing."""

    def get_batch_samples(self, *args):
        batches, count = super().get_batch_samples(*args)
        if batches:
            self.steps.append([[int(ids[1]) for ids in batch["input_ids"]] for batch in batches])
        return batches, count


def record_order(tokenizer, rows: int, options: dict, folder: str) -> dict:
    given = datasets.Dataset.from_list([dict(input_ids=[1, i, 2], labels=[1, i, 2]) for i in range(rows)])
    trainer = Ordered(tiny_model(tokenizer), settings(folder, logging_strategy="no", **options), train_dataset=given, processing_class=tokenizer)
    trainer.steps = []
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    assert len(trainer.steps) == trainer.state.max_steps
    return dict(rows=rows, options=options, steps=trainer.steps)


def dump(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    tokenizers = {}
    for kind in KINDS:
        write(out / "tokenizers" / kind, kind)
        tokenizers[kind] = lambda kind=kind: AutoTokenizer.from_pretrained(out / "tokenizers" / kind)
        dump(out / "tokens" / f"{kind}.json", record_tokens(tokenizers[kind]()))
        dump(out / "chats" / f"{kind}.json", record_chats(tokenizers[kind]()))
    dump(out / "chats.json", CHATS)
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, rows, options in CASES:
            dump(out / "rows" / f"{name}.json", record_rows(name, kind, tokenizers[kind](), rows, options, folder))
        dump(out / "orders.json", [record_order(tokenizers["smollm-like"](), rows, options, folder) for rows, options in ORDERS])
    chats = [[dict(role="user", content="hi"), dict(role="assistant", content="صقر")], [dict(role="user", content="a"), dict(role="assistant", content=None)]]
    datasets.Dataset.from_dict(dict(messages=chats, score=[7, 8])).to_parquet(out / "rows.parquet")
    versions = {m.__name__: m.__version__ for m in (transformers, trl, datasets, torch)}
    dump(out / "versions.json", versions)


if __name__ == "__main__":
    main()
