"""Adapters that keep something of the base: embeddings saved along or resized, single token rows, tied modules, targets by their whole path.
PEFT writes them over tiny Llamas and says what they make of a row; test/engine/adapters.test.ts opens, merges and saves them.

    python tools/oracle/adapters.py OUT        # OUT/<base>/, OUT/<case>/
"""

import json
import os
import shutil
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch
import transformers
from arguments import argument
from families_files import tidy_adapter_config
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VOCAB, RESIZED = 24, 29
ROW = [3, 17, 5, 9, 4, 21, 3, 5, 11, 8, 23, 4]
Q = ["q_proj"]

# name -> base, LoraConfig, and: rows after resizing, save_pretrained's arguments
CASES = {
    "saved-untied": ("untied", dict(target_modules=Q), dict(save=dict(save_embedding_layers=True), change=True)),
    "saved-tied": ("tied", dict(target_modules=Q), dict(save=dict(save_embedding_layers=True), change=True)),
    "saved-and-whole": ("untied", dict(target_modules=Q, modules_to_save=["lm_head"]), dict(save=dict(save_embedding_layers=True), change=True)),
    "resized-untied": ("untied", dict(target_modules=Q), dict(rows=RESIZED)),
    "resized-tied": ("tied", dict(target_modules=Q), dict(rows=RESIZED)),
    "resized-whole": ("untied", dict(target_modules=Q, modules_to_save=["embed_tokens", "lm_head"]), dict(rows=RESIZED)),
    "resized-whole-embedding-tied": ("tied", dict(target_modules=Q, modules_to_save=["embed_tokens"]), dict(rows=RESIZED)),
    "resized-low-rank-tied": ("tied", dict(target_modules=Q + ["embed_tokens"]), dict(rows=RESIZED)),
    "resized-low-rank-head-tied": ("tied", dict(target_modules=Q + ["lm_head"]), dict(rows=RESIZED)),
    "tokens-untied": ("untied", dict(target_modules=Q, trainable_token_indices=[3, 4, 5]), {}),
    "tokens-tied": ("tied", dict(target_modules=Q, trainable_token_indices=[3, 4, 5]), {}),
    "tokens-by-module-untied": ("untied", dict(target_modules=Q, trainable_token_indices={"embed_tokens": [3, 4], "lm_head": [5]}), {}),
    "tokens-by-module-tied": ("tied", dict(target_modules=Q, trainable_token_indices={"embed_tokens": [3, 4], "lm_head": [5]}), {}),
    "tokens-same-tied": ("tied", dict(target_modules=Q, trainable_token_indices={"embed_tokens": [3, 4], "lm_head": [3, 4]}), {}),
    "tokens-head-tied": ("tied", dict(target_modules=Q, trainable_token_indices={"lm_head": [5, 3]}), {}),
    "tokens-low-rank-head-tied": ("tied", dict(target_modules=Q + ["lm_head"], trainable_token_indices=[3, 4]), {}),
    "tokens-resized-tied": ("tied", dict(target_modules=Q, trainable_token_indices=[4, 25]), dict(rows=RESIZED)),
    "tokens-resized-untied": ("untied", dict(target_modules=Q, trainable_token_indices=[4, 25]), dict(rows=RESIZED)),
    "as-one-whole": ("tied", dict(target_modules=Q, modules_to_save=["embed_tokens", "lm_head"], ensure_weight_tying=True), {}),
    "as-one-whole-by-head": ("tied", dict(target_modules=Q, modules_to_save=["lm_head"], ensure_weight_tying=True), {}),
    "as-one-whole-resized": ("tied", dict(target_modules=Q, modules_to_save=["embed_tokens"], ensure_weight_tying=True), dict(rows=RESIZED)),
    "as-one-low-rank": ("tied", dict(target_modules=Q + ["embed_tokens"], ensure_weight_tying=True), {}),
    "as-one-low-rank-by-head": ("tied", dict(target_modules=Q + ["lm_head"], ensure_weight_tying=True), {}),
    "as-one-of-two": ("untied", dict(target_modules=Q, modules_to_save=["embed_tokens", "lm_head"], ensure_weight_tying=True), {}),
    "whole-path": ("untied", dict(target_modules=Q + ["lm_head", "model.layers.0.self_attn.v_proj"], layers_to_transform=[1]), {}),
}


def make_base(folder, tied):
    torch.manual_seed(1)
    size = dict(vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=1, head_dim=16, max_position_embeddings=32)
    model = LlamaForCausalLM(LlamaConfig(**size, tie_word_embeddings=tied))
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + 0.1 * torch.randn_like(p) if "norm" in name else 0.3 * torch.randn_like(p))
    model.tie_weights()
    model.save_pretrained(folder)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def log_probabilities(model):
    ids = torch.tensor([ROW])
    with torch.no_grad():
        said = model.eval()(ids).logits.log_softmax(-1)
    return said[0, :-1].gather(1, ids[0, 1:, None])[:, 0].contiguous()


def make_case(out, base, config, rows=None, save=None, change=False):
    torch.manual_seed(2)
    model = load(base)
    if rows:
        model.resize_token_embeddings(rows, mean_resizing=False)
        with torch.no_grad():
            for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
                weight[VOCAB:] = 0.3 * torch.randn_like(weight[VOCAB:])
    if change:
        with torch.no_grad():
            for weight in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
                weight[::2] *= -1
    peft = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, **config))
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if "lora_" in name:
                p.copy_(0.2 * torch.randn_like(p))
            elif "modules_to_save.default" in name or "trainable_tokens" in name:
                p.add_(0.2 * torch.randn_like(p))
    peft.save_pretrained(out, **(save or {}))
    (out / "README.md").unlink()
    # as it is read again, which for tied low-rank parts is not what was in memory
    again = load(base)
    if rows:
        again.resize_token_embeddings(rows)
    trained = PeftModel.from_pretrained(again, out, is_trainable=True)
    expected = {"logp": log_probabilities(trained)}
    tokens = "trainable_token_indices" in config
    if tokens or (config.get("ensure_weight_tying") and "modules_to_save" in config):
        ids = torch.tensor([ROW])
        trained(input_ids=ids, labels=ids).loss.backward()
        if not tokens:
            expected["grad"] = trained.get_input_embeddings().modules_to_save["default"].weight.grad.clone()
        # by their names in the file, less its prefix; of rows that head and embedding share once
        for name, p in trained.named_parameters() if tokens else ():
            if p.grad is not None:
                expected["grad." + name.removeprefix("base_model.model.").removesuffix(".default").replace(".default.", ".")] = p.grad.clone()
    torch.testing.assert_close(expected["logp"], log_probabilities(peft))
    tidy_adapter_config(out / "adapter_config.json")
    file = out / "adapter_model.safetensors"
    save_file(load_file(file), file, {"format": "pt"})
    save_file(expected, out / "expected.safetensors")


if __name__ == "__main__":
    out = Path(argument('out', __doc__))
    for tied in (True, False):
        make_base(out / ("tied" if tied else "untied"), tied)
    for name, (base, config, more) in CASES.items():
        shutil.rmtree(out / name, ignore_errors=True)
        make_case(out / name, out / base, config, **more)
        (out / name / "base.json").write_text(json.dumps({"base": base, "vocabulary": more.get("rows", VOCAB)}) + "\n")
