"""How far bf16 takes training from f32, in Hugging Face's own hands: the yardstick for saqr's bf16 and QLoRA.

  python tools/oracle/drift.py OUT [--kind llama] [--steps 100]

A small model (a Llama, or a mixture of experts) begins to learn short lessons from scratch in f32, then goes on with LoRA, in f32 and in bf16, over its own
weights and, of the Llama, over the same ones in NF4, from three seeds. The layout is described in tools/oracle/README.md."""
import argparse
import multiprocessing
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import peft
import torch
import transformers
from families_compute import batch_nll, gradients, step
from families_weights import fill_adapter
from safetensors.torch import save_file
from training import Recorder, dump, lines, save
from training_data import lessons, make_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from trl import SFTConfig

SEEDS = [11, 12, 13]
SIZES = dict(hidden_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, pad_token_id=0, initializer_range=0.05)
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LATENT = dict(num_key_value_heads=4, q_lora_rank=48, kv_lora_rank=32, qk_nope_head_dim=24, qk_rope_head_dim=8, v_head_dim=32, first_k_dense_replace=1)
MLA = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
# configuration, and what an adapter goes over: a mixture's experts too
KINDS = {
    "llama": (dict(intermediate_size=256, tie_word_embeddings=True), "all-linear"),
    "mixtral": (dict(intermediate_size=96, num_local_experts=4, num_experts_per_tok=2, router_aux_loss_coef=0.02, sliding_window=None), [*ATTENTION, "w1", "w2", "w3"]),
    "qwen3_moe": (dict(intermediate_size=256, moe_intermediate_size=64, num_experts=8, num_experts_per_tok=2, norm_topk_prob=True, head_dim=32, mlp_only_layers=[0]), [*ATTENTION, "gate_proj", "up_proj", "down_proj"]),
    "deepseek_v2": (dict(intermediate_size=256, moe_intermediate_size=64, n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, topk_method="greedy", **LATENT), [*MLA, "gate_proj", "up_proj", "down_proj"]),
    "deepseek_v3": (dict(intermediate_size=256, moe_intermediate_size=64, n_routed_experts=8, num_experts_per_tok=2, n_shared_experts=1, n_group=2, topk_group=1, **LATENT), [*MLA, "gate_proj", "up_proj", "down_proj"]),
}
ARGS = dict(per_device_train_batch_size=4, learning_rate=1e-3, lr_scheduler_type="linear", warmup_steps=5, logging_steps=1, max_length=256)
VOCAB = 512

# a step of so small a model is faster on one thread; the seeds run side by side instead
torch.set_num_threads(1)


def quiet(temp: str, **args) -> SFTConfig:
    return SFTConfig(output_dir=temp, use_cpu=True, gradient_checkpointing=False, report_to="none", disable_tqdm=True, save_strategy="no", **args)


def train(model, tokenizer, rows, **args) -> Recorder:
    with tempfile.TemporaryDirectory() as temp:
        trainer = Recorder(model=model, args=quiet(temp, **args), train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer)
        trainer.remove_callback(transformers.PrinterCallback)
        # TRL turns a quantised model's adapter to bf16; here it stays f32 everywhere, so that only the arithmetic around it differs
        for p in model.parameters():
            if p.requires_grad:
                p.data = p.data.float()
        trainer.train()
    return trainer


def lora(kind: str) -> peft.LoraConfig:
    return peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=KINDS[kind][1])


def pretrain(folder: Path, kind: str) -> None:
    """A model that has begun to learn: there is much left for the adapter. Its weights are bf16 numbers, so that f32 and bf16 begin with the same."""
    rows = lessons(960, 1)
    tokenizer = make_tokenizer([row["prompt"] + row["completion"] for row in rows], VOCAB)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, vocab_size=VOCAB, **{**SIZES, **KINDS[kind][0]}), experts_implementation="eager")
    texts = [dict(text=row["prompt"] + row["completion"]) for row in rows]
    train(model, tokenizer, texts, bf16=False, per_device_train_batch_size=16, learning_rate=3e-3, max_steps=60, logging_steps=50, seed=1, max_length=256)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load(out: Path, base: str, dtype: torch.dtype):
    """`base` is `bf16` (the model's own weights) or `nf4` (the same, quantised by bitsandbytes with double quantisation)."""
    if base == "bf16":
        return AutoModelForCausalLM.from_pretrained(out / "model", dtype=dtype, experts_implementation="eager")
    model = AutoModelForCausalLM.from_pretrained(out / "model-nf4", dtype=dtype)
    for module in model.modules():
        if hasattr(module, "compute_dtype"):
            module.compute_dtype = dtype
    return model


def quantise(out: Path) -> None:
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    AutoModelForCausalLM.from_pretrained(out / "model", dtype=torch.bfloat16, quantization_config=config).save_pretrained(out / "model-nf4")
    transformers.AutoTokenizer.from_pretrained(out / "model").save_pretrained(out / "model-nf4")


def heldout_loss(model, rows, bf16: bool) -> float:
    model.train()  # nothing here is random; in eval mode bitsandbytes would repack the NF4 weights for good
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        sums = [nll.double() for row in rows for _, nll in batch_nll(model, [row])[1]]
    return (sum(sums) / sum(sum(row["targets"]) for row in rows)).item()


def tokenised(tokenizer, rows) -> list[dict]:
    """As TRL prepares prompt and completion: the completion and its EOS are targets."""
    found = []
    for row in rows:
        prompt, ids = tokenizer(row["prompt"]).input_ids, tokenizer(row["prompt"] + row["completion"] + "</s>").input_ids
        begin = next((i for i, (a, b) in enumerate(zip(prompt, ids)) if a != b), min(len(prompt), len(ids)))
        found.append(dict(ids=ids, targets=[int(i >= begin) for i in range(len(ids))]))
    return found


def flat(grads: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([grads[name].double().flatten() for name in sorted(grads)])


def cosine(a, b) -> float:
    return torch.nn.functional.cosine_similarity(flat(a), flat(b), dim=0).item()


@torch.no_grad()
def begin_adapter(model, seed: int) -> None:
    """lora_B small, so that training begins near the base as it does in practice, but not zero: every gradient is compared."""
    fill_adapter(model, seed)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            p.mul_(0.1)


def run_seed(out: Path, kind: str, seed: int, heldout: list[dict], steps: int) -> None:
    folder = out / f"seed-{seed}"
    rows = lessons(steps * ARGS["per_device_train_batch_size"], seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out / "model")
    args = dict(**ARGS, max_steps=steps, seed=seed)
    expected, tensors = {}, {}
    for base in ("bf16", "nf4") if kind == "llama" else ("bf16",):
        for dtype in (torch.float32, torch.bfloat16):
            low = dtype == torch.bfloat16
            model = peft.get_peft_model(load(out, base, dtype), lora(kind))
            begin_adapter(model, seed)
            if not expected:
                save(model, folder / "adapter", ["adapter_config.json", "adapter_model.safetensors"])
            before = heldout_loss(model, heldout, low)
            trainer = train(model, tokenizer, rows, bf16=low, **args)
            after = heldout_loss(model, heldout, low)
            begin_adapter(model, seed)
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                step(model, [row for batch in trainer.steps[0] for row in batch])
            grads = gradients(model)
            entry = dict(
                losses=[e["loss"] for e in trainer.state.log_history if "loss" in e],
                grad_norms=[e["grad_norm"] for e in trainer.state.log_history if "loss" in e],
                heldout=dict(before=before, after=after),
            )
            key = f"{base}.{'bf16' if low else 'f32'}"
            if low:
                exact = expected[f"{base}.f32"]
                entry["cosine"] = cosine(grads, tensors[base])
                entry["drift"] = max(abs(a - b) for a, b in zip(entry["losses"], exact["losses"]))
            else:
                tensors[base] = grads
            expected[key] = entry
            print(f"seed {seed} {key:10} {entry['losses'][0]:.4f} -> {entry['losses'][-1]:.4f}  held out {before:.4f} -> {after:.4f}", *(f"{k} {entry[k]:.6f}" for k in ("cosine", "drift") if k in entry), flush=True)
    dump(folder / "args.json", args)
    lines(folder / "train.jsonl", rows)
    dump(folder / "steps.json", trainer.steps, a_line_each=True)
    save_file({f"{base}.{name}": g for base, grads in tensors.items() for name, g in grads.items()}, folder / "gradients.safetensors", metadata={"format": "pt"})
    dump(folder / "expected.json", expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="llama")
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()
    begun = time.time()
    shutil.rmtree(args.out, ignore_errors=True)
    pretrain(args.out / "model", args.kind)
    if args.kind == "llama":
        quantise(args.out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.out / "model")
    rows = lessons(48, 99)
    lines(args.out / "heldout.jsonl", rows)
    heldout = tokenised(tokenizer, rows)
    dump(args.out / "heldout.json", heldout, a_line_each=True)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(run_seed, args.out, args.kind, seed, heldout, args.steps) for seed in SEEDS]:
            done.result()
    print(f"{time.time() - begun:.0f} s")


if __name__ == "__main__":
    main()
