"""Rows of every shape as TRL's trainers prepare them with the tokenizers and templates that people's models carry.

  python tools/oracle/real_rows.py OUT --tokenizers FOLDER [--seed N]

FOLDER/<package>/models/ holds tokenizer.json and tokenizer_config.json of each package in tokenizers.txt. OUT/<name>.json: `tokenizer`, a
folder; `template`, null: its own; `cases`, of each `trainer` (sft, dpo, orpo or kto), `name`, `rows` as saqr is given them, `options`, and `made` (of sft `expected`), or `error` where TRL fails."""
import argparse
import copy
import tempfile
import uuid
from pathlib import Path

import datasets
import trl
from data import dump, record_rows
from data_tokenizers import write
from preference_rows import dpo, kto, orpo
from rows_cases import Draw, alpaca_prompt
from transformers import AutoTokenizer

# a fingerprint of a map pickles the tokenizer, which takes seconds where it has 128k words
datasets.fingerprint.Hasher.hash = classmethod(lambda cls, value: uuid.uuid4().hex[:16])


def said(role: str, content: str) -> dict:
    return dict(role=role, content=content)


def sharegpt(messages: list[dict]) -> dict:
    names = dict(system="system", user="human", assistant="gpt")
    return dict(conversations=[{"from": names[m["role"]], "value": m["content"]} for m in messages])


def with_ids(row: dict) -> dict:
    """Mistral's template asks for nine letters or digits."""
    row["messages"][1]["tool_calls"][0]["id"] = row["messages"][2]["tool_call_id"] = "a1b2c3d4e"
    return row


def sft_cases(d: Draw):
    """(name, rows as saqr is given them, as TRL is, settings, formatting function)"""
    text = [dict(text=t) for t in d.texts(12)]
    yield "text", text, text, {}, None
    asked = [dict(prompt=a, completion=b) for a, b in zip(d.texts(12), d.texts(12))]
    yield "prompt and completion", asked, asked, {}, None
    yield "prompt and completion, every token", asked, asked, dict(completion_only_loss=False), None
    for system in (False, True):
        name = "messages with a system message" if system else "messages"
        chats = []
        while len(chats) < 8:
            chat = d.messages(system=system)
            if (chat[0]["role"] == "system") == system:
                chats.append(chat)
        rows = [dict(messages=chat) for chat in chats]
        yield name, rows, rows, {}, None
        yield f"{name}, what the assistant says", rows, rows, dict(assistant_only_loss=True), None
        yield f"{name}, as ShareGPT", [sharegpt(chat) for chat in chats], rows, {}, None
        answered = [dict(prompt=chat[:-1], completion=chat[-1:]) for chat in chats]
        yield f"{name}, prompt and completion", answered, answered, {}, None
    tools = [with_ids(d.tools()) for _ in range(6)]
    yield "calls of tools", tools, tools, {}, None
    alpaca = [d.alpaca() for _ in range(8)]
    answered = [dict(prompt=alpaca_prompt(row), completion=row["output"]) for row in alpaca]
    yield "Alpaca, formatted", alpaca, alpaca, {}, lambda row: alpaca_prompt(row) + row["output"]
    yield "Alpaca, prompt and completion", answered, answered, dict(max_length=300), None


def pair_cases(d: Draw):
    """(name, rows of pairs)"""
    yield "texts", [dict(prompt=d.text(empty=0), chosen=d.text(empty=0), rejected=d.text(empty=0)) for _ in range(10)]
    chats = [d.messages(system=False) for _ in range(8)]
    reply = lambda: [said("assistant", d.text(empty=0))]
    yield "messages", [dict(prompt=chat[:-1], chosen=reply(), rejected=reply()) for chat in chats]
    yield "implicit messages", [dict(chosen=[*chat[:-1], *reply()], rejected=[*chat[:-1], *reply()]) for chat in chats]


def rated_cases(d: Draw):
    yield "texts", [dict(prompt=d.text(empty=0), completion=d.text(empty=0), label=bool(i % 3)) for i in range(8)]
    chats = [d.messages(system=False) for _ in range(6)]
    yield "messages", [dict(prompt=chat[:-1], completion=chat[-1:], label=bool(i % 2)) for i, chat in enumerate(chats)]


def made(make) -> dict:
    try:
        return make()
    except Exception as error:  # a template that refuses a role: saqr has to refuse it too
        return dict(error=f"{type(error).__name__}: {error}")


def cases_of(tokenizer, seed: int, folder: str) -> list[dict]:
    d = Draw(seed)
    cases = []
    for name, rows, given, options, formatting_func in sft_cases(d):
        one = made(lambda: record_rows(name, "", tokenizer, copy.deepcopy(given), options, folder, formatting_func))
        cases.append({**one, "trainer": "sft", "name": name, "rows": rows, "options": options, "formatted": formatting_func is not None})
    for name, rows in pair_cases(d):
        for trainer, prepare in (("dpo", dpo), ("orpo", orpo)):
            one = made(lambda: dict(made=prepare(copy.deepcopy(rows), {}, tokenizer)))
            cases.append(dict(one, trainer=trainer, name=name, rows=rows, args={}))
    two = dict(per_device_train_batch_size=2)
    for name, rows in rated_cases(d):
        one = made(lambda: dict(made=kto(copy.deepcopy(rows), two, tokenizer)))
        cases.append(dict(one, trainer="kto", name=name, rows=rows, args=two))
    return cases


def stock(name: str) -> str:
    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    # Phi 3's words are Llama 2's: its template over the small tokenizer of that kind
    write(args.out / "llama2-like", "llama2-like")
    own = {name: (args.tokenizers / f"tokenizer-{name}" / "models", None) for name in ("qwen2_5", "qwen3", "mistral_nemo")}
    own["llama3_1"] = (args.tokenizers / "tokenizer-llama3_1" / "models", stock("llama3_1"))
    others = {name: (args.tokenizers / "tokenizer-gemma2" / "models", stock(name)) for name in ("gemma", "gemma3")}
    phi = {name: (args.out / "llama2-like", stock(name)) for name in ("phi3", "phi3_5")}
    with tempfile.TemporaryDirectory() as folder:
        for name, (path, template) in (own | others | phi).items():
            tokenizer = AutoTokenizer.from_pretrained(path)
            tokenizer.chat_template = template or tokenizer.chat_template
            dump(args.out / f"{name}.json", dict(tokenizer=str(path), template=template, cases=cases_of(tokenizer, args.seed, folder)))


if __name__ == "__main__":
    main()
