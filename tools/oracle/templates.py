"""Chat templates rendered by transformers: texts, what {% generation %} wrote, or that there is an error.

  python tools/oracle/templates.py OUT [--seed N]

The layout of OUT is described in tools/oracle/README.md."""
import argparse
import json
import warnings
from pathlib import Path

from templates_cases import EXPRESSIONS, MESSAGES, STATEMENTS, TOOLS, Draw
from transformers.utils.chat_template_utils import render_jinja_template

warnings.filterwarnings("ignore")  # of templates that call what is no function
NAMES = "{% set m = messages %}{% set c = messages[2].tool_calls[0].function.arguments %}"


def utf16(text: str, at: int) -> int:
    return len(text[:at].encode("utf-16-le", "surrogatepass")) // 2


SPECIAL = dict(bos_token="<s>", eos_token="</s>")


def render(template: str, messages: list[dict], tools: list[dict] | None = None, special: dict = SPECIAL, **variables) -> dict:
    """{ text, spans } or { error }."""
    # apply_chat_template leaves keys out that are None before it renders
    given = [{key: value for key, value in message.items() if value is not None} for message in messages]
    try:
        texts, spans = render_jinja_template([given], tools=tools, chat_template=template, return_assistant_tokens_mask=True, **special, **variables)
    except Exception as error:
        return dict(error=type(error).__name__)
    if " at 0x" in texts[0]:
        return dict(error="prints where an object lies in memory")
    return dict(text=texts[0], spans=[[utf16(texts[0], a), utf16(texts[0], b)] for a, b in spans[0]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--count", type=int, default=6000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    templates = [NAMES + "[{{ " + e + " }}]" for e in EXPRESSIONS] + [NAMES + s for s in STATEMENTS] + STATEMENTS
    if args.seed is not None:
        draw = Draw(args.seed)
        templates += [NAMES + "[{{ " + draw.expression() + " }}]" for _ in range(args.count)]
        templates += [NAMES + draw.template() for _ in range(args.count // 3)]
    (args.out / "given.json").write_text(json.dumps(dict(messages=MESSAGES, tools=TOOLS)), encoding="utf-8")
    with open(args.out / "cases.jsonl", "w", encoding="utf-8") as file:
        for template in templates:
            case = dict(template=template, **render(template, MESSAGES, TOOLS))
            file.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
