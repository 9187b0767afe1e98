"""Seeded weights for tiny models: random, yet such that activations and gradients have the size they have in trained ones."""
import zlib

import torch

seed = 0  # what is recorded; another one draws everything anew


def generator(*key) -> torch.Generator:
    """Random bits of their own for every name, whatever else is drawn."""
    key = (seed, *key) if seed else key
    return torch.Generator().manual_seed(zlib.crc32(":".join(map(str, key)).encode()))


def normal(shape, std, *key):
    return torch.randn(shape, generator=generator(*key)) * std


@torch.no_grad()
def fill_base(model, case):
    """Activations of size about 1 everywhere: weights by fan-in, norms around 1, biases away from 0."""
    for name, p in model.named_parameters():
        if name.endswith("norm.weight"):
            gemma = model.config.model_type.startswith("gemma")  # multiplies by 1 + w
            p.copy_((0 if gemma else 1) + normal(p.shape, 0.25, case, name))
            if gemma and name in ("model.norm.weight", "model.language_model.norm.weight"):
                # every other channel the other way round: with large embeddings a tied head would only say the last token again
                p[::2] = -2 - p[::2]
        elif name.endswith("bias") or p.ndim == 1:
            p.copy_(normal(p.shape, 0.3, case, name))
        elif name.endswith("embed_tokens.weight"):
            # a tied head multiplies normed channels by these: 2/sqrt(C) keeps its logits at about 2
            p.copy_(normal(p.shape, 2 / p.shape[1] ** 0.5 if model.config.tie_word_embeddings else 0.5, case, name))
        else:
            # gpt-oss has the matrices of its experts as (in, out)
            fan_in = p.shape[1] if model.config.model_type == "gpt_oss" and p.ndim == 3 else p.shape[-1]
            p.copy_(normal(p.shape, (2 if name.startswith("lm_head") else 1) / fan_in**0.5, case, name))
        if case.endswith("-ties") and name.endswith(("mlp.gate.weight", "mlp.router.weight", "mlp.router.bias")):
            p[-1] = p[0]


    for name, buffer in model.named_buffers():
        if name.endswith("e_score_correction_bias"):
            buffer.copy_(normal(buffer.shape, 0.2, case, name))  # sigmoids lie about 0.2 apart: it changes what is chosen


@torch.no_grad()
def fill_adapter(model, case):
    """lora_B random, so that every gradient differs from 0; what is trained whole moves away from its base."""
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if "lora_embedding_A" in name:
            p.copy_(normal(p.shape, 1, case, name))
        elif "vision_tower" in name and "lora_B" in name:
            p.zero_()  # as it began: rows of text don't train it
        elif "lora_A" in name:
            p.copy_(normal(p.shape, p.shape[1] ** -0.5, case, name))
        elif "lora_B" in name or "lora_embedding_B" in name:
            p.copy_(normal(p.shape, 0.15, case, name))
        else:
            p.add_(normal(p.shape, 0.05, case, name))
