"""Conversations through the templates that models carry, and through those TRL trains on in their place: texts and what the assistant wrote.

  python tools/oracle/stock.py OUT [--seed N]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import random
from pathlib import Path

import trl
from data_cases import WEATHER
from rows_cases import Draw
from templates import SPECIAL, render

FOLDER = Path(trl.__file__).parent / "chat_templates"


class Conversations(Draw):
    """All turns that templates tell apart: reasoning, calls with and without text, answers of tools, several of them, systems."""

    def call(self) -> dict:
        r = self.r
        arguments = {r.choice(["city", "days", "10", "ok", "list"]): r.choice([self.text(3), 3, 2.5, 20.0, True, None, [1, "a"], {"k": "v"}]) for _ in range(r.randint(0, 3))}
        return dict(id="abcdefghi", type="function", function=dict(name=r.choice(["weather", "add"]), arguments=arguments))

    def assistant(self) -> dict:
        r = self.r
        message = dict(role="assistant", content=self.text(8))
        if r.random() < 0.25:
            message["content"] = f"<think>\n{self.text(5)}\n</think>\n\n{message['content']}"
        elif r.random() < 0.25:
            message[r.choice(["reasoning_content", "thinking"])] = self.text(5)
        return message

    def conversation(self, parts: bool, tools: bool, system: bool) -> list[dict]:
        r = self.r
        messages = [dict(role="system", content=self.text(8))] if system else []
        for _ in range(r.randint(1, 3)):
            messages.append(dict(role="user", content=self.text(8)))
            while tools and r.random() < 0.5:
                calls = [self.call() for _ in range(r.choice([1, 1, 1, 2]))]
                said = self.assistant()
                if r.random() < 0.6:
                    said["content"] = r.choice(["", None])
                messages.append(dict(said, tool_calls=calls))
                messages += [dict(role="tool", name="weather", tool_call_id="abcdefghi", content=self.text(5)) for _ in calls]
            if r.random() < 0.95:
                messages.append(self.assistant())
        if parts:
            for message in messages:
                message["content"] = [dict(type="text", text=message.get("content") or "")]
        return messages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(FOLDER.glob("*.jinja")):
        trains = path.stem.endswith("_training")
        stock = path.with_name(path.name.replace("_training", ""))
        draw = Conversations(args.seed)
        cases = []
        for i in range(args.count):
            messages = draw.conversation(parts=i % 5 == 4, tools=i % 2 == 1, system=draw.r.random() < 0.4)
            special = SPECIAL if draw.r.random() < 0.8 else {}
            given = dict(messages=messages, tools=[WEATHER] if i % 4 == 1 else None, special=special, add_generation_prompt=draw.r.random() < 0.1)
            cases.append(dict(given, **render(path.read_text(encoding="utf-8"), **given)))
        template = stock.read_text(encoding="utf-8")
        folder = args.out / ("training" if trains else "stock")
        folder.mkdir(exist_ok=True)
        with open(folder / f"{stock.stem}.json", "w", encoding="utf-8") as file:
            json.dump(dict(template=template, rendered=path.read_text(encoding="utf-8"), cases=cases), file)


if __name__ == "__main__":
    main()
