"""Four small tokenizers of the kinds that Llama 3, SmolLM/Qwen, Llama 2 and Gemma have, trained on sentences made by rule, and their chat templates."""
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORDS = (
    "the a falcon river lantern ship garden mountain letter bridge waits sings sleeps was found belongs to king is older than wall which colour "
    "has it where stands what answer question system user assistant you are terse please write one sentence about red blue green number "
    "it's we're they've can't I'll école café naïve straße мир текст سلام صقر مرحبا 日本 語 한국 你好 def return print 12 345 2024 "
    "function name arguments city weather Instruction Input Response describes task completes request"
).split()
SIGNS = ["\n", "\n\n", ", ", ". ", ": ", "?\n", " (", ") ", "### ", "!", "\t", "  ", " = ", '{"', '": "', '"}']

# as the Llama 3 models split text
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def sentences(count: int, seed: int) -> list[str]:
    r = random.Random(seed)
    draw = lambda: r.choice(WORDS) + (r.choice(SIGNS) if r.random() < 0.25 else " ")
    return ["".join(draw() for _ in range(r.randint(3, 30))) for _ in range(count)]


CHATML = (
    "{%- if tools %}{{- '<|im_start|>tools\\n' + (tools | tojson) + '<|im_end|>\\n' }}{%- endif %}\n"
    "{%- for message in messages %}\n"
    "    {%- if message.role == 'assistant' %}\n"
    "        {{- '<|im_start|>assistant\\n' }}\n"
    "        {%- generation %}\n"
    "        {%- if message.tool_calls %}\n"
    "            {%- for call in message.tool_calls %}{{- '<call>' + (call.function | tojson) + '</call>' }}{%- endfor %}\n"
    "        {%- endif %}\n"
    "        {{- message.content + '<|im_end|>' }}\n"
    "        {%- endgeneration %}\n"
    "        {{- '\\n' }}\n"
    "    {%- elif message.role == 'fail' %}\n"
    "        {{- raise_exception('roles must be system, user, assistant or tool') }}\n"
    "    {%- else %}\n"
    "        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n"
    "    {%- endif %}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}\n"
)

# the generation prompt holds a thought that the conversation drops: prompt and whole part before the prompt's end
HEADERS = (
    "{{ bos_token }}{% for message in messages %}\n"
    "{% if message['role'] == 'assistant' %}<|header|>assistant<|end|>\n"
    "{% generation %}{{ message['content'] | trim }}<|stop|>{% endgeneration %}\n"
    "{% else %}<|header|>{{ message['role'] }}<|end|>\n"
    "{{ message['content'] | trim }}<|stop|>\n"
    "{% endif %}{% endfor %}\n"
    "{% if add_generation_prompt %}<|header|>assistant<|end|>\n"
    "thinks\n"
    "{% endif %}"
)

INST = (
    "{% for message in messages %}{% if message.role == 'user' %}{{ bos_token + '[INST] ' + message.content + ' [/INST]' }}"
    "{% elif message.role == 'assistant' %}{% generation %}{{ ' ' + message.content + ' ' + eos_token }}{% endgeneration %}"
    "{% else %}{{ '<<' + message.content + '>>' }}{% endif %}{% endfor %}"
)


def special(*contents: str) -> list[AddedToken]:
    return [AddedToken(c, special=True, normalized=False) for c in contents]


def llama3_like() -> tuple[Tokenizer, dict]:
    """Bytes, Llama 3's pattern, BOS put before every text."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 480, pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(special("<|begin|>", "<|stop|>", "<|header|>", "<|end|>"))
    begin = tokenizer.token_to_id("<|begin|>")
    template = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", begin)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer, dict(bos_token="<|begin|>", eos_token="<|stop|>", tokenizer_class="PreTrainedTokenizerFast", chat_template=HEADERS)


def smollm_like() -> tuple[Tokenizer, dict]:
    """Bytes, single digits, GPT-2's pattern, NFC, nothing put around a text; <|im_end|> is named by the config alone."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 480, pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(special("<|endoftext|>", "<|im_start|>"))
    tokenizer.add_tokens([AddedToken("<call>", special=False, normalized=True), AddedToken("</call>", special=False, normalized=True)])
    config = dict(eos_token="<|im_end|>", pad_token="<|endoftext|>", add_bos_token=False, tokenizer_class="PreTrainedTokenizerFast", chat_template=CHATML)
    return tokenizer, config


def llama2_like() -> tuple[Tokenizer, dict]:
    """Pieces with ▁ for a space, bytes where a character is unknown, `LlamaTokenizer`'s own rules."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    latin = [chr(c) for c in range(33, 127)] + ["▁", "\n"]
    train(tokenizer, 700, latin, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)])
    definition = json.loads(tokenizer.to_str())
    # bytes are tokens, but not added ones; the file is in the form of transformers 4: a normalizer, no pre-tokenizer
    definition["added_tokens"] = [t for t in definition["added_tokens"] if not t["content"].startswith("<0x")]
    definition["pre_tokenizer"] = None
    definition["normalizer"] = dict(
        type="Sequence", normalizers=[dict(type="Prepend", prepend="▁"), dict(type="Replace", pattern=dict(String=" "), content="▁")]
    )
    replace = dict(type="Replace", pattern=dict(String="▁"), content=" ")
    strip = dict(type="Strip", content=" ", start=1, stop=0)
    definition["decoder"] = dict(type="Sequence", decoders=[replace, dict(type="ByteFallback"), dict(type="Fuse"), strip])
    begin = dict(SpecialToken=dict(id="<s>", type_id=0))
    text = dict(Sequence=dict(id="A", type_id=0))
    definition["post_processor"] = dict(type="TemplateProcessing", single=[begin, text], pair=[], special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])})
    special = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    # add_eos_token counts for nothing beside a tokenizer.json
    config = dict(**special, add_bos_token=True, add_eos_token=True, legacy=False, tokenizer_class="LlamaTokenizer", chat_template=INST)
    return Tokenizer.from_str(json.dumps(definition)), config


def gemma_like() -> tuple[Tokenizer, dict]:
    """Pieces with ▁ for a space and none put before a text; runs of spaces, line breaks and tabs are added tokens, of which the model makes those of spaces."""
    tokenizer, _ = llama2_like()
    definition = json.loads(tokenizer.to_str())
    model = definition["model"]
    runs = ["▁" * n for n in range(2, 6)]
    for run in runs:
        model["vocab"][run] = len(model["vocab"])
        model["merges"].insert(0, [run[1:], "▁"])
    # a longer run is made of two tokens
    model["merges"][:4] = [["▁", "▁"], ["▁▁", "▁▁"], ["▁▁▁▁", "▁"], ["▁▁", "▁"]]
    definition["normalizer"] = dict(type="Replace", pattern=dict(String=" "), content="▁")
    definition["pre_tokenizer"] = dict(type="Split", pattern=dict(String=" "), behavior="MergedWithPrevious", invert=False)
    replace = dict(type="Replace", pattern=dict(String="▁"), content=" ")
    definition["decoder"] = dict(type="Sequence", decoders=[replace, dict(type="ByteFallback"), dict(type="Fuse")])
    definition["post_processor"] = None
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.add_tokens([AddedToken(c, special=False, normalized=False) for c in [*runs, "\n", "\n\n", "\t\t", "<b>"]])
    tokenizer.add_special_tokens(special("<bos>", "<eos>"))
    named = dict(bos_token="<bos>", eos_token="<eos>", unk_token="<unk>")
    return tokenizer, dict(**named, tokenizer_class="PreTrainedTokenizerFast", chat_template=INST)


def train(tokenizer: Tokenizer, size: int, alphabet: list[str], special_tokens: list[str] = []) -> None:
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=special_tokens, limit_alphabet=len(alphabet), show_progress=False)
    tokenizer.train_from_iterator(sentences(400, 1), trainer)


KINDS = {"llama3-like": llama3_like, "smollm-like": smollm_like, "llama2-like": llama2_like, "gemma-like": gemma_like}


def write(folder: Path, name: str) -> None:
    """tokenizer.json, tokenizer_config.json and a config.json that says the model type."""
    tokenizer, config = KINDS[name]()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(dict(model_type="llama")), encoding="utf-8")
