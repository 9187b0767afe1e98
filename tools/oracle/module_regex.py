"""Python's own reading of regular expressions that may stand in an adapter_config.json: written ones and ones drawn at random.

    python tools/oracle/module_regex.py OUT [--seed N]        # OUT/cases.json
"""

import argparse
import json
import random
import re
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

PATHS = [
    "lm_head", "model.embed_tokens", "model.norm", "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
    "model.layers.1.self_attn.o_proj", "model.layers.10.mlp.gate_proj", "model.layers.11.mlp.down_proj", "model.layers.2.input_layernorm",
    "Model.Layers.1.Q_PROJ", "q_proj", "aa", "a", "ab", "abab", "b.a", "{", "a{,2}", "]", "x-y",
]  # fmt: skip

WRITTEN = [
    r".*\.(q|v)_proj", r"(?i).*Q_PROJ", r"(?i)LM_HEAD|.*\.K_PROJ", r"(?P<block>model\.layers)\.\d+\..*_proj", r"\Amodel.*\Z", r"lm_head\Z", r"lm_head$",
    r"^lm_head$", r"(?:.*q_proj|^model\.embed_tokens$)", r".*?layers\.(0|1\d)\..*", r"model\.layers\.\d{1,2}\.mlp\.(?:gate|down)_proj", r"a{,2}",
    r"a{2}", r"a{1,}", r"a{", r"{", r"a\{,2\}", r"[]a]", r"[^]a]", r"[[]", r"[]]", r"[a-c\d]+", r"[\w.]+", r"x[-]y", r"x\-y", r"(?>a+)b", r"(?>a|ab)b", r"a*+a",
    r"a++", r"a?+a", r"(?:ab)++", r"(?:a|ab)*+b", r"(a)\1", r"(?P<n>a)(?P=n)", r"(?#a comment)a", r"(?=a)ab", r"(?!a).*", r".*(?<=_proj)", r".*(?<!q_proj)",
    r"(?x) a b", r"(?s).*", r"(?m)^a$", r"(?i:a)b", r"(?-i:a)", r"(a)?(?(1)b|c)", r"a**", r"a*?+", r"*a", r"(a", r"a)", r"[a", r"\q", r"\k<n>", r"\p{L}", r"(?<n>a)",
    r"\x61", r"\u0061", r"\141", r"\07", r"a(?i)b", r"\d+|a", r"[^\W_]+", r"[\s\S]*", r".*proj\b", r".*\Bproj", r"a|", r"", r"()a", r"\.", r"a/b|a", r"[/a]", r"\/a|a", r"\_|a",
]  # fmt: skip

# what saqr refuses by name: references back, conditions, verbose and scoped flags, possessive and atomic groups with groups in them
REFUSED = [r"(?:ab)++", r"(?:a|ab)*+b", r"(a)\1", r"(?P<n>a)(?P=n)", r"(?x) a b", r"(?i:a)b", r"(?-i:a)", r"(a)?(?(1)b|c)"]


def draw(rng, depth=0):
    """A piece of an expression; most of them match something."""
    atoms = ["a", "b", "a", r"\.", ".", "q_proj", r"\w", r"\d", "[ab]", "[^a]", "_", "layers", "model", "l"]
    kind = rng.randrange(9 if depth < 2 else 3)
    if kind < 3:
        atom = rng.choice(atoms)
    elif kind == 3:
        return draw(rng, depth + 1) + draw(rng, depth + 1)
    elif kind == 4:
        return f"(?:{draw(rng, depth + 1)}|{draw(rng, depth + 1)})"
    elif kind == 5:
        atom = f"(?:{draw(rng, depth + 1)})"
    elif kind == 6:
        atom = f"(?>{rng.choice(atoms)}{rng.choice(['', '*', '+?', '|a', 'b'])})"
    elif kind == 7:
        return rng.choice(["(?=", "(?!"]) + draw(rng, depth + 2) + ")" + draw(rng, depth + 1)
    else:
        atom = f"({draw(rng, depth + 1)})"
    often = rng.choice(["", "", "", "*", "+", "?", "*?", "+?", "{,2}", "{1,2}", "{2}", "{1,}", ".*"])
    possessive = "+" if often and often[-1] in "*+?}" and often not in ("*?", "+?") and kind < 3 and rng.random() < 0.3 else ""
    return atom + often + possessive


def reading(pattern):
    try:
        compiled = re.compile(pattern)
    except re.error:
        return None
    return [path for path in PATHS if compiled.fullmatch(path)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=150)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    drawn = [rng.choice(["", ".*", "(?i)"]) + draw(rng) + rng.choice(["", "", ".*"]) for _ in range(args.count)]
    rows = [{"pattern": p, "matches": reading(p), **({"refused": True} if p in REFUSED else {})} for p in WRITTEN]
    rows += [{"pattern": p, "matches": reading(p)} for p in drawn]
    args.out.mkdir(parents=True, exist_ok=True)
    body = ",\n".join(json.dumps(row) for row in rows)
    (args.out / "cases.json").write_text(f'{{"paths": {json.dumps(PATHS)}, "cases": [\n{body}\n]}}\n')
