"""What llama.cpp answers to conversations, greedily, by the template that a GGUF file holds.

    llama_chat.py LIBRARIES FILE CONVERSATIONS MOST

CONVERSATIONS: JSON, a list of lists of messages. The template is read by the gguf package and rendered by Jinja itself, as Hugging Face's tokenizers set
it up; llama.cpp makes tokens of that and goes on until it meets one that ends a text. Prints JSON: for each the prompt's ids, the answer, and whether
it ended within MOST tokens.
"""
import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llama import Model, load


def renderer(path):
    reader = gguf.GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"]
    special = {}
    for name in ("bos", "eos"):
        field = reader.fields.get(f"tokenizer.ggml.{name}_token_id")
        special[f"{name}_token"] = tokens.contents(int(field.contents())) if field else ""

    def refuse(message):
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(reader.fields["tokenizer.chat_template"].contents())
    return lambda messages: template.render(messages=messages, add_generation_prompt=True, **special)


def main():
    parser = argparse.ArgumentParser()
    for name in ("libraries", "file", "conversations"):
        parser.add_argument(name)
    parser.add_argument("most", type=int)
    args = parser.parse_args()
    render = renderer(args.file)
    model = Model(load(args.libraries), args.file)
    context = model.context(1)
    answers = []
    for messages in json.loads(Path(args.conversations).read_text()):
        prompt = model.ids(render(messages), False)
        model.forget(context)
        answer, given, ended = [], prompt, False
        while len(answer) < args.most and not ended:
            logits = np.ctypeslib.as_array(model.read(context, given), (len(given), model.tokens))
            given = [int(logits[-1].argmax())]
            ended = model.ends(given[0])
            answer += [] if ended else given
        answers.append({"prompt": prompt, "answer": model.text(answer), "ended": ended})
    print(json.dumps(answers))


main()
