"""Text rows made by rule and a byte-level BPE tokenizer trained on them: data for the training oracle that belongs to nobody else."""
import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

VOCAB = 192

COLOURS = ["red", "blue", "green", "black", "white", "golden"]
THINGS = ["falcon", "river", "lantern", "ship", "garden", "mountain", "letter", "bridge"]
PLACES = ["by the sea", "in the old town", "under the hill", "near the market", "at the gate"]
DEEDS = ["waits", "sings at night", "was found by a boy", "belongs to the king", "is older than the wall", "sleeps"]

# every prompt begins with these more than 32 tokens, as instruction data does
PREAMBLE = (
    "below is a request that somebody wrote, together with what it is about. answer the request with one short sentence; "
    "never say more than you were asked, and never less.\n\n"
)


def sentence(r: random.Random) -> str:
    return f"the {r.choice(COLOURS)} {r.choice(THINGS)} {r.choice(PLACES)} {r.choice(DEEDS)}."


def text_rows(count: int, seed: int) -> list[dict]:
    r = random.Random(seed)
    return [dict(text=" ".join(sentence(r) for _ in range(r.choice([1, 1, 2, 3])))) for _ in range(count)]


def prompt_rows(count: int, seed: int) -> list[dict]:
    r = random.Random(seed)
    rows = []
    for _ in range(count):
        colour, thing, place = r.choice(COLOURS), r.choice(THINGS), r.choice(PLACES)
        about = f"about: a {colour} {thing} {place}.\n"
        ask, answer = r.choice([("which colour has it?", f"it is {colour}."), ("where is it?", f"it stands {place}."), ("what is it?", f"a {thing}, {colour} as can be.")])
        rows.append(dict(prompt=f"{PREAMBLE}{about}request: {ask}\nanswer:", completion=f" {answer}"))
    return rows


def make_tokenizer(corpus: list[str] | None = None, vocab: int = VOCAB) -> PreTrainedTokenizerFast:
    """<pad> 0, <s> 1 (put before every text), </s> 2, then bytes that occur and merges."""
    corpus = corpus or [row["text"] for row in text_rows(400, 1)] + [row["prompt"] + row["completion"] for row in prompt_rows(40, 1)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=vocab, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=256)


def lesson(r: random.Random) -> tuple[str, str]:
    """An instruction and its answer: small tasks in plain language, varied enough that a model goes on learning over a hundred steps."""
    a, b = r.randint(2, 99), r.randint(2, 99)
    words = r.sample(THINGS + COLOURS, r.randint(3, 5))
    colour, thing, place, deed = r.choice(COLOURS), r.choice(THINGS), r.choice(PLACES), r.choice(DEEDS)
    return r.choice([
        (f"what is {a} plus {b}?", f"{a} plus {b} is {a + b}."),
        (f"which is larger, {a} or {b}?", f"{max(a, b)} is larger than {min(a, b)}." if a != b else "they are equal."),
        (f"put these words in order: {', '.join(words)}.", f"in order they are {', '.join(sorted(words))}."),
        (f"say these words backwards, last one first: {', '.join(words)}.", f"{', '.join(reversed(words))}."),
        (f"how many words are there in this line: {' '.join(words)}?", f"there are {len(words)} words in it."),
        (f"read this: the {colour} {thing} {place} {deed}. what is it about?", f"it is about a {thing} that is {colour} and stands {place}."),
        (f"tell me something about a {thing} and a {colour} letter.", f"{sentence(r)} the {colour} letter {r.choice(DEEDS)}, and nobody knows why. {sentence(r)}"),
    ])


def lessons(count: int, seed: int) -> list[dict]:
    r = random.Random(seed)
    return [dict(prompt=f"### instruction:\n{ask}\n\n### response:\n", completion=answer) for ask, answer in (lesson(r) for _ in range(count))]
