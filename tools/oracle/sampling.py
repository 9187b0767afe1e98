"""The distributions that transformers' generate draws from: logits of a step, and the probabilities after its processors and warpers.

  python tools/oracle/sampling.py OUT [--seed N] [--count 40] [--vocab 24]

The layout of OUT/ is described in tools/oracle/README.md."""
import argparse
import json
import random
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.generation import LogitsProcessor, LogitsProcessorList

# arguments by transformers' names, each with values that are drawn from; None: not given
ARGUMENTS = {
    "temperature": [None, 0.3, 0.7, 1.0, 1.8],
    "top_k": [0, 0, 1, 3, 10, 1000],
    "top_p": [None, None, 0.0, 0.1, 0.5, 0.9, 0.999],
    "min_p": [None, None, 0.02, 0.1, 0.6],
    "repetition_penalty": [None, None, 0.8, 1.1, 1.7],
    "presence_penalty": [None, None, -1.0, 0.5, 2.0],
    "frequency_penalty": [None, None, -0.5, 0.3, 1.5],
}


class Penalties(LogitsProcessor):
    """OpenAI's formula: mu[j] - c[j] * frequency - (c[j] > 0) * presence, c counted over the answer."""

    def __init__(self, prompt: int, presence: float, frequency: float):
        self.prompt, self.presence, self.frequency = prompt, presence, frequency

    def __call__(self, input_ids, scores):
        counts = torch.bincount(input_ids[0, self.prompt :], minlength=scores.shape[-1]).to(scores.dtype)
        return scores - counts * self.frequency - (counts > 0) * self.presence


def undecided(scores, top_p, min_p) -> bool:
    """a cut so near to a token that f32 may decide otherwise"""
    probs = torch.softmax(scores.double(), -1)[0]
    near = (probs / probs.max() - (min_p or 2)).abs().min() < 1e-5
    return bool(near or ((probs.sort().values.cumsum(0) - (1 - (top_p or 2))).abs().min() < 1e-5))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--vocab", type=int, default=24)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    torch.manual_seed(args.seed)
    V = args.vocab
    model = LlamaForCausalLM(LlamaConfig(vocab_size=V, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1))
    cases = []
    while len(cases) < args.count:
        given = {name: draw.choice(values) for name, values in ARGUMENTS.items()}
        # multiples of 1/8 have equal logits among them, which top-k keeps; a nucleus may cut between equal ones as it likes
        logits = torch.randn(1, V) * draw.choice([0.5, 2, 6])
        if given["top_p"] is None:
            logits = (logits * 8).round() / 8
        prompt = [draw.randrange(V) for _ in range(draw.randrange(1, 6))]
        answer = [draw.randrange(V) for _ in range(draw.randrange(0, 8))]
        ids = torch.tensor([prompt + answer])
        own = {name: given[name] for name in ("temperature", "top_k", "top_p", "min_p", "repetition_penalty") if given[name] is not None}
        penalties = Penalties(len(prompt), given["presence_penalty"] or 0.0, given["frequency_penalty"] or 0.0)

        def after(**config):
            processors = model._get_logits_processor(
                GenerationConfig(do_sample=True, **config), input_ids_seq_length=len(prompt), logits_processor=LogitsProcessorList([penalties]), model_kwargs={})
            return processors(ids, logits.clone())

        # what top-p and min-p cut
        if undecided(after(**{k: v for k, v in own.items() if k not in ("top_p", "min_p")}), given["top_p"], None): continue
        if undecided(after(**{k: v for k, v in own.items() if k != "min_p"}), None, given["min_p"]): continue
        probs = torch.softmax(after(**own).double(), -1)[0]
        cases.append({"given": {k: v for k, v in given.items() if v is not None}, "logits": logits[0].tolist(), "prompt": prompt, "answer": answer,
                      "probs": [round(p, 9) for p in probs.tolist()]})
    args.out.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (args.out / "cases.json").write_text(f"[\n{lines}\n]\n")


main()
