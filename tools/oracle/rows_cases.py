"""Rows drawn at random for rows.py: every shape of row, in many scripts, with what breaks tokenizers and templates."""
import json
import random

from data_cases import WEATHER
from data_tokenizers import SIGNS, WORDS

# what a drawn text is put together from, by kind
PARTS = [
    WORDS,
    SIGNS,
    ["صقر", "مُعلِّم", "١٢٣", "שלום", "日本語", "한국어", "ไทย", "ελληνικά", "Ünïcödé", "ﬁ", "Ⅷ", "½", "ß", "İ", "e\u0301", "\u1112\u1161\u11ab"],
    ["👍", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "𝕳", "😀😀", "❤️", "\u200d", "\ufe0f"],
    [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\ufeff", "\u0085", "\u2028", "\v", "\x1c"],
    ["0", "7", "42", "123", "1234567", "3.14", "-1e-5", "0x1F", "2024-01-02"],
    ["def f(x):\n    return x**2\n", "{\"a\": [1, 2]}", "<b>", "</b>", "{{ x }}", "{% if %}", "\\n", "C:\\x", "`~^", "it's", "I'LL", "we'Ve", "-----", "…", "№"],
    ["<|im_end|>", "<|stop|>", "</s>", "<s>", "<unk>", "<|begin|>", "<0x0A>", "▁", "<call>", "<|endoftext|>", "<|im_start|>"],
]


class Draw:
    """All that is drawn follows from the seed."""

    def __init__(self, seed: int):
        self.r = random.Random(seed)

    def text(self, longest: int = 24, empty: float = 0.06) -> str:
        r = self.r
        if r.random() < empty:
            return ""
        one = lambda: r.choice(PARTS[r.choices(range(len(PARTS)), [8, 4, 2, 1.5, 2, 2, 1.5, 0.5])[0]])
        space = lambda: " " if r.random() < 0.6 else ""
        text = "".join(one() + space() for _ in range(r.randint(1, longest)))
        return text if r.random() < 0.5 else text.strip()

    def texts(self, count: int, **more) -> list[str]:
        # every tenth is long: cut, or several times a pack's length
        return [self.text(longest=240 if i % 10 == 9 else 24, **more) for i in range(count)]

    def messages(self, system: bool = True) -> list[dict]:
        r = self.r
        made = [dict(role="system", content=self.text())] if system and r.random() < 0.4 else []
        for _ in range(r.randint(1, 3)):
            made.append(dict(role="user", content=self.text()))
            made.append(dict(role="assistant", content=self.text()))
        return made

    def tools(self) -> dict:
        """A conversation with a call of a function and its answer."""
        call = dict(type="function", function=dict(name="weather", arguments=dict(city=self.text(4, empty=0), days=self.r.randint(0, 9))))
        messages = [
            dict(role="user", content=self.text()), dict(role="assistant", content="", tool_calls=[call]),
            dict(role="tool", content=self.text(6)), dict(role="assistant", content=self.text()),
        ]
        return dict(messages=messages, tools=json.dumps([WEATHER]))

    def alpaca(self) -> dict:
        return dict(instruction=self.text(), input=self.text(empty=0.5), output=self.text())


def alpaca_prompt(row: dict) -> str:
    """The wording of Stanford Alpaca's rows with an input, which fine-tuning notebooks put around every row."""
    return (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:\n"
    )


# templates that take turns of text by turns without a system message
STOCK = "cohere cohere2 deepseek_r1_distill deepseekv3 gemma gemma3 glm4moe gptoss lfm2 lfm2_v2 llama3 muse_glimmer nemotron_3_nano phi3 phi3_5 qwen2_5 qwen2_5_vl qwen3 qwen3_5_think qwen3_6 qwen3_8 qwen3_instruct_2507 qwen3_vl".split()

SMALL = ["llama3-like", "smollm-like", "llama2-like"]


def cases(seed: int):
    """Yields (name, tokenizer, rows, settings of SFTConfig, rows as TRL users give them or None where they are the same, formatting function).

    A tokenizer "kind:name" has TRL's copy of the stock template of that name instead of its own."""
    d = Draw(seed)
    text = lambda n: [dict(text=t) for t in d.texts(n)]
    prompt = lambda n: [dict(prompt=a, completion=b) for a, b in zip(d.texts(n), d.texts(n))]
    messages = lambda n, **more: [dict(messages=d.messages(**more)) for _ in range(n)]
    chat_prompt = lambda n: [dict(prompt=m[:-1], completion=m[-1:]) for m in (d.messages() for _ in range(n))]
    alpaca = lambda n: [d.alpaca() for _ in range(n)]
    for kind in [*SMALL, "smollm2"]:
        yield f"text, {kind}", kind, text(60), {}, None, None
        yield f"prompt and completion, {kind}", kind, prompt(60), {}, None, None
        yield f"messages, {kind}", kind, messages(40, system=kind != "llama2-like"), {}, None, None
    for kind in SMALL:
        yield f"messages, assistant only, {kind}", kind, messages(40), dict(assistant_only_loss=True), None, None
        yield f"prompt and completion of messages, {kind}", kind, chat_prompt(30), {}, None, None
    yield "messages with tools, assistant only", "smollm-like", [d.tools() for _ in range(20)], dict(assistant_only_loss=True), None, None
    yield "prompt and completion, all tokens", "llama3-like", prompt(40), dict(completion_only_loss=False), None, None

    rows = alpaca(30)
    yield "Alpaca", "smollm2", rows, {}, rows, lambda row: alpaca_prompt(row) + row["output"]
    rows = alpaca(30)
    answered = [dict(prompt=alpaca_prompt(row), completion=row["output"]) for row in rows]
    yield "Alpaca, completion only", "smollm2", rows, dict(completion_only_loss=True), answered, None

    yield "text, cut at the end", "llama3-like", text(50), dict(max_length=20), None, None
    yield "text, cut at the start", "llama2-like", text(50), dict(max_length=20, truncation_mode="keep_end"), None, None
    yield "prompt and completion, cut at the end", "smollm-like", prompt(60), dict(max_length=40), None, None
    yield "messages, assistant only, cut", "smollm-like", messages(40), dict(max_length=48, assistant_only_loss=True), None, None
    yield "text in packs", "smollm2", text(120), dict(max_length=64, packing=True, packing_strategy="bfd"), None, None
    yield "prompt and completion in packs", "llama3-like", prompt(90), dict(max_length=96, packing=True, packing_strategy="bfd"), None, None
    yield "messages in packs, assistant only", "smollm-like", messages(60), dict(max_length=128, packing=True, assistant_only_loss=True), None, None

    for i, template in enumerate(STOCK):
        yield f"stock template {template}, assistant only", f"{SMALL[i % 3]}:{template}", messages(8, system=False), dict(assistant_only_loss=True, max_length=8192), None, None
    yield "stock template qwen3, prompt and completion of messages, assistant only", "smollm-like:qwen3", [dict(prompt=m[:-1], completion=m[-1:]) for m in (d.messages(system=False) for _ in range(12))], dict(assistant_only_loss=True), None, None
