"""Rows and settings for the data oracle: every shape of row, both ends of a cut, both kinds of loss, packing, the order of rows."""
import json
import random

from data_tokenizers import sentences

TEXTS = ["", "a", " ", "  ", "\n", "\n\n\n", "\t\t x", " hello", "hello ", "  two  spaces  ", "١٢٣٤ مرحبا صقر", "日本語テキスト", "👩‍👩‍👧‍👦 family 🇩🇪"]
TEXTS += ["e\u0301cole caf\u00e9", "\ufeffmark", " \ufeffx", "a\u0085b\u00a0c\u2003d\u200be", "it'ſ IT'S I'LL we'Ve", "12345678901234", "1 2 33 444 5555"]
TEXTS += ["<s>hi</s>", "hello<s> world", "x <unk> y", "<|im_start|>user\nhi<|im_end|>\n", "<|begin|>x<|stop|> y", "▁▁low", "<0x0A>", "½ ²³ Ⅷ ㊿ ٣"]
TEXTS += ["𝕳𝖊𝖑𝖑𝖔", "a" * 60, "ab " * 20, "\r\n\r\nx\r", "-----=====", "def f(x):\n    return x**2\n", "\u2028line\u2029sep", "\v\f\x1c", "İSTANBUL ΟΔΟΣ", "\u1112\u1161\u11ab", "<call>{}</call>"]


def texts() -> list[str]:
    r = random.Random(7)
    alphabet = "abcXYZ  \n\t'.,!?12٣é日👍\u0301<|>▁\u200d\ufeff\u0085"
    return TEXTS + ["".join(r.choice(alphabet) for _ in range(r.randint(1, 40))) for _ in range(80)] + sentences(40, 3)


user = lambda content: dict(role="user", content=content)
assistant = lambda content, **more: dict(role="assistant", content=content, **more)
system = lambda content: dict(role="system", content=content)

WEATHER = dict(type="function", function=dict(name="weather", description="Weather \"now\" é", parameters=dict(type="object", properties=dict(city=dict(type="string")), required=["city"])))
CALL = assistant("", tool_calls=[dict(type="function", function=dict(name="weather", arguments=dict(city="Paris", days=2, metric=True)))])

CHATS = [
    dict(messages=[user("which colour has it?"), assistant("red")]),
    dict(messages=[system("you are terse. صقر"), user(" what is 2+2? "), assistant(" 4 👍"), user("and 3+3?"), assistant("6\n\n")]),
    dict(messages=[user("a"), assistant("the end 👍"), user("b"), assistant("日本")]),
    dict(messages=[user("e\u0301cole"), assistant("cafe\u0301 \u0301")]),
    dict(messages=[user("weather?"), CALL, dict(role="tool", name="weather", content='{"t": 20}'), assistant("20 degrees")], tools=[WEATHER]),
    dict(messages=[user("only a question")], add_generation_prompt=True),
    dict(messages=[user("x"), assistant("\u3000wide\u3000"), user("\x1cy\x85")]),
    dict(messages=[user("code  please"), assistant("def f():\n    return 1\n\n\nx  =  f()      # ▁▁ 12"), user(" ▁"), assistant("  \t\t<b>two</b>  ")]),
]

# small templates where Python's Jinja and others part: white space around blocks, strip with an argument, printing, scopes of loops
TEMPLATES = [
    "{% for m in messages %}\n  {% if m.role == 'user' %}\n    U:{{ m.content }}\n  {% else %}\n  {%- generation -%}\n  A:{{ m.content.strip() }}\n  {%- endgeneration %}\n\n  {% endif %}\n{% endfor %}",
    "{% for m in messages %}{{ m.content.strip('\\n') }}|{{ m.content.lstrip('a ') }}|{{ m.content.rstrip() }}|{{ m.content | trim }}\n{% endfor %}",
    "{{ true }} {{ none }} {{ 1.5 }} {{ 2 }} {{ missing }}.{{ true ~ 'x' ~ 3 }}{{ (true | string) + 'y' }}{{ messages | length }}",
    "{% set x = 'outer' %}{% for m in messages %}{% if m.role == 'assistant' %}{% set x = m.content %}{% set y = 1 %}{% endif %}[{{ x }}{{ y }}]{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if loop.first and m.role == 'system' %}{% continue %}{% endif %}{{ ns.n }}{{ m.role }}{{ eos_token }}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'assistant' %}A{% generation %}{{ m.content }}\n{% endgeneration %}{% if not loop.last %}\n{% endif %}{% else %}{{ m.content }}\n{% endif %}{% endfor %}",
    "{% for m in messages %}{% for k, v in m.items() %}{{ k }}={{ v | tojson }};{% endfor %}{% endfor %}{{ messages[0].content.split(' ')[-1] }}{{ messages[-1]['role'].upper() }}",
]


def text_rows(eos: str) -> list[dict]:
    rows = [dict(text=s) for s in sentences(14, 11)]
    return rows + [dict(text=f"ends already{eos}"), dict(text=""), dict(text="école 👍 日本 12345")]


def prompt_rows() -> list[dict]:
    asked, said = sentences(10, 12), sentences(10, 13)
    rows = [dict(prompt=a, completion=b) for a, b in zip(asked, said)]
    # tokens merge across the edge; nothing to say
    return rows + [dict(prompt="the fal", completion="con waits"), dict(prompt="1", completion="23"), dict(prompt="question: ", completion=""), dict(prompt="", completion="answer")]


def message_rows() -> list[dict]:
    rows = [dict(messages=[user(a.strip()), assistant(b.strip()), user("and?"), assistant(c.strip())]) for a, b, c in zip(sentences(6, 14), sentences(6, 15), sentences(6, 16))]
    return rows + [dict(messages=c["messages"]) for c in CHATS[:4]]


def chat_prompt_rows() -> list[dict]:
    rows = [dict(prompt=[user(a.strip())], completion=[assistant(b.strip())]) for a, b in zip(sentences(6, 17), sentences(6, 18))]
    return rows + [dict(prompt=[system("you are terse"), user("a"), assistant("b"), user("c")], completion=[assistant("the end 👍"), user("more"), assistant("no")])]


def sharegpt_rows() -> list[dict]:
    names = dict(user="user", assistant="assistant", system="system")
    return [dict(conversations=[{"from": names[m["role"]], "value": m["content"]} for m in r["messages"]]) for r in message_rows()]


PRETOKENIZED = [
    dict(input_ids=[5, 6, 7, 8], labels=[-100, 6, -100, 8]),
    dict(input_ids=[9, 10], labels=[9, 10]),
    dict(input_ids=[11, 12, 13], labels=[-100, -100, -100]),
]

# name, tokenizer, rows, settings of SFTConfig
CASES = [
    ("text", "llama3-like", text_rows("<|stop|>"), {}),
    ("text-no-bos", "smollm-like", text_rows("<|im_end|>"), {}),
    ("text-pieces", "llama2-like", text_rows("</s>"), {}),
    ("text-field", "llama2-like", [dict(body=r["text"], other=1) for r in text_rows("</s>")], dict(dataset_text_field="body")),
    ("text-eos", "smollm-like", text_rows("<|endoftext|>"), dict(eos_token="<|endoftext|>")),
    ("text-cut-start", "llama3-like", text_rows("<|stop|>"), dict(max_length=12)),
    ("text-cut-end", "llama3-like", text_rows("<|stop|>"), dict(max_length=12, truncation_mode="keep_end")),
    ("prompt", "llama3-like", prompt_rows(), {}),
    ("prompt-no-bos", "smollm-like", prompt_rows(), {}),
    ("prompt-pieces", "llama2-like", prompt_rows(), {}),
    ("prompt-all", "smollm-like", prompt_rows(), dict(completion_only_loss=False)),
    ("prompt-cut-start", "llama3-like", prompt_rows(), dict(max_length=16)),
    ("prompt-cut-end", "smollm-like", prompt_rows(), dict(max_length=10, truncation_mode="keep_end")),
    ("messages", "llama3-like", message_rows(), {}),
    ("messages-no-bos", "smollm-like", message_rows(), {}),
    ("messages-tools", "smollm-like", [dict(messages=CHATS[4]["messages"], tools=json.dumps([WEATHER])), dict(messages=CHATS[0]["messages"], tools="[]")], {}),
    ("messages-assistant", "llama3-like", message_rows(), dict(assistant_only_loss=True)),
    ("messages-assistant-no-bos", "smollm-like", message_rows(), dict(assistant_only_loss=True)),
    ("messages-assistant-pieces", "llama2-like", message_rows(), dict(assistant_only_loss=True)),
    ("messages-assistant-cut", "smollm-like", message_rows(), dict(assistant_only_loss=True, max_length=20)),
    ("chat-prompt", "llama3-like", chat_prompt_rows(), {}),
    ("chat-prompt-no-bos", "smollm-like", chat_prompt_rows(), {}),
    ("chat-prompt-all", "smollm-like", chat_prompt_rows(), dict(completion_only_loss=False)),
    ("chat-prompt-assistant", "smollm-like", chat_prompt_rows(), dict(assistant_only_loss=True)),
    ("conversations", "smollm-like", sharegpt_rows(), {}),
    ("tokens", "smollm-like", PRETOKENIZED, {}),
    ("pack-bfd", "smollm-like", [dict(text=s) for s in sentences(60, 21)] + text_rows("<|im_end|>"), dict(packing=True, max_length=64)),
    ("pack-bfd-prompt", "llama3-like", prompt_rows() * 3, dict(packing=True, max_length=48)),
    ("pack-bfd-split", "smollm-like", [dict(text=s) for s in sentences(40, 22)], dict(packing=True, max_length=40, packing_strategy="bfd_split")),
    ("pack-wrapped", "smollm-like", [dict(text=s) for s in sentences(40, 23)], dict(packing=True, max_length=40, packing_strategy="wrapped")),
    # more rows than are packed at a time, many of the same length
    ("pack-many", "smollm-like", [dict(text="a" * (1 + i * 7 % 5)) for i in range(1150)], dict(packing=True, max_length=16)),
]

# rows, settings
ORDERS = [
    (11, dict(per_device_train_batch_size=2, gradient_accumulation_steps=3, num_train_epochs=3, seed=42)),
    (11, dict(per_device_train_batch_size=2, gradient_accumulation_steps=3, num_train_epochs=2.5, seed=3407, dataloader_drop_last=True)),
    (9, dict(per_device_train_batch_size=3, gradient_accumulation_steps=1, max_steps=7, seed=0, data_seed=5)),
    (10, dict(per_device_train_batch_size=4, gradient_accumulation_steps=2, num_train_epochs=2, train_sampling_strategy="sequential")),
    (5, dict(per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=2, seed=2**31 - 1)),
]
