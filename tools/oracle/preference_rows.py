"""Token ids that TRL's preference trainers make of rows in every shape they take: OUT/rows.json.

  python tools/oracle/preference_rows.py OUT

Each case: `trainer`, `rows`, `args`, and of every row that is kept what the trainer's own preparation gives."""
import json
import os
import types
import warnings
from pathlib import Path

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import datasets
from arguments import argument
from training_data import make_tokenizer
from trl import DPOTrainer, KTOTrainer
from trl.data_utils import maybe_apply_chat_template, maybe_extract_prompt
from trl.experimental.orpo import ORPOTrainer

datasets.disable_progress_bars()
warnings.filterwarnings("ignore")

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def said(role, content):
    return dict(role=role, content=content)


ASK = "where is the ship?"
CHAT = [said("user", ASK)]
LONG = [said("system", "be short."), *CHAT, said("assistant", "which?"), said("user", "the red one.")]
PAIRS = {
    "texts": [
        dict(prompt=f"request: {ASK}\nanswer:", chosen=" by the sea.", rejected=" under the hill, i think."),
        dict(prompt="a ", chosen="river.", rejected="bridge"),
        dict(prompt="", chosen="the falcon", rejected="the ship"),
        dict(prompt="say it twice: ", chosen="it it</s>", rejected="it"),
    ],
    "implicit texts": [
        dict(chosen=f"request: {ASK}\nanswer: by the sea.", rejected=f"request: {ASK}\nanswer: under the hill."),
        dict(chosen="the river sleeps", rejected="the river sleeps at night"),
        dict(chosen="a falcon", rejected="a  falcon"),
        dict(chosen="same", rejected="same"),
        dict(chosen="blue \U0001f30a sea", rejected="blue \U0001f30b sea"),
    ],
    "messages": [
        dict(prompt=CHAT, chosen=[said("assistant", "by the sea.")], rejected=[said("assistant", "under the hill.")]),
        dict(prompt=LONG, chosen=[said("assistant", "by the sea."), said("user", "thanks"), said("assistant", "yes")], rejected=[said("assistant", "no")]),
    ],
    "implicit messages": [
        dict(chosen=[*CHAT, said("assistant", "by the sea.")], rejected=[*CHAT, said("assistant", "under the hill.")]),
        dict(chosen=[*LONG, said("assistant", "here")], rejected=[*LONG, said("assistant", "here"), said("user", "where?")]),
    ],
    "implicit messages, keys in any order": [
        dict(chosen=[dict(content=ASK, role="user"), said("assistant", "by the sea.")], rejected=[*CHAT, dict(content="under the hill.", role="assistant")]),
        dict(chosen=[*LONG, said("assistant", "here")], rejected=[*[dict(content=m["content"], role=m["role"]) for m in LONG], said("assistant", "there")]),
    ],
}
# the prompt stands beside them as a text, as UltraFeedback has it: trl.experimental takes what they begin with, DPO and KTO fail
BESIDE = [
    dict(prompt=ASK, chosen=[*CHAT, said("assistant", "by the sea.")], rejected=[*CHAT, said("assistant", "under the hill.")]),
    dict(prompt=ASK, chosen=[*LONG, said("assistant", "here")], rejected=[*LONG, said("assistant", "there")]),
]
RATED = {
    "rated texts": [dict(prompt=f"{thing}? ", completion=answer, label=bool(i % 3)) for i, (thing, answer) in enumerate([("ship", "sails"), ("river", "sleeps</s>"), ("bridge", "it stands"), ("falcon", "sings"), ("letter", "is red")])],
    "rated messages": [dict(prompt=CHAT, completion=[said("assistant", answer)], label=answer == "here") for answer in ("here", "there", "nowhere")],
}
LIMITED = [dict(prompt="the ship " * n, chosen="sails", rejected="sleeps") for n in (1, 5, 20)]


def tokenizer():
    made = make_tokenizer()
    made.chat_template = TEMPLATE
    return made


def orpo(rows, args, processing=None):
    """ORPO prepares rows in its constructor: its steps, one by one."""
    processing = processing or tokenizer()
    stub = types.SimpleNamespace(processing_class=processing, is_encoder_decoder=False, max_length=args.get("max_length", 512))
    stub.build_tokenized_answer = types.MethodType(ORPOTrainer.build_tokenized_answer, stub)
    made = []
    for row in datasets.Dataset.from_list(rows):
        row = maybe_apply_chat_template(maybe_extract_prompt(row), processing)
        try:
            one = ORPOTrainer.tokenize_row(stub, row)
        except ValueError:  # more than one token of the prompt merges with the answer
            made.append(None)
            continue
        parts = [(one[f"{side}_input_ids"], one[f"{side}_labels"]) for side in ("chosen", "rejected")]
        made.append(dict(sequences=[dict(prompt=sum(label == -100 for label in labels), ids=ids) for ids, labels in parts]))
    return made


def kto(rows, args, processing=None):
    processing = processing or tokenizer()
    config = types.SimpleNamespace(dataset_num_proc=None, max_length=args.get("max_length"), per_device_train_batch_size=args["per_device_train_batch_size"])
    stub = types.SimpleNamespace(_tokenizer=processing, calculate_KL=True, desirable_weight=1.0, undesirable_weight=1.0)
    made = KTOTrainer._prepare_dataset(stub, datasets.Dataset.from_list(rows), processing, config, "train")
    return [dict(prompt=row["prompt_ids"], answers=[row["completion_ids"], row["KL_completion_ids"]], wanted=row["label"]) for row in made]


def dpo(rows, args, processing=None):
    processing = processing or tokenizer()
    config = types.SimpleNamespace(dataset_num_proc=None, max_length=args.get("max_length"), truncation_mode="keep_start")
    stub = types.SimpleNamespace(_tokenizer=processing)
    made = DPOTrainer._prepare_dataset(stub, datasets.Dataset.from_list(rows), processing, config, "train")
    return [dict(prompt=row["prompt_ids"], answers=[row["chosen_ids"], row["rejected_ids"]]) for row in made]


if __name__ == "__main__":
    out = Path(argument("out", __doc__))
    out.mkdir(parents=True, exist_ok=True)
    tokenizer().save_pretrained(out / "tokenizer")
    cases = [dict(trainer="dpo", name=name, args={}, rows=rows, made=dpo(rows, {})) for name, rows in PAIRS.items()]
    cases.append(dict(trainer="dpo", name="a limit", args=dict(max_length=40), rows=LIMITED, made=dpo(LIMITED, dict(max_length=40))))
    cases += [dict(trainer="orpo", name=f"orpo, {name}", args={}, rows=rows, made=orpo(rows, {})) for name, rows in [*PAIRS.items(), ("a prompt beside its messages", BESIDE)]]
    two = dict(per_device_train_batch_size=2)
    cases += [dict(trainer="kto", name=name, args=two, rows=rows, made=kto(rows, two)) for name, rows in RATED.items()]
    cases += [dict(trainer="kto", name=f"taken apart, {name}", args=two, rows=rows, made=kto(rows, two)) for name, rows in PAIRS.items()]
    cases.append(dict(trainer="kto", name="taken apart, a limit", args={**two, "max_length": 40}, rows=LIMITED, made=kto(LIMITED, {**two, "max_length": 40})))
    (out / "rows.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
