"""Losses and gradients as Hugging Face computes them, in f32 and again in f64."""
import copy
import sys
from contextlib import contextmanager

import torch
import torch.nn.functional as F


class _Wide:
    """Stands for the name `torch` in a modeling file: its float32 is float64, so that norms, RoPE angles and softmax follow the model into f64
    instead of falling back to f32. The inverse frequencies stay the f32 values HF makes."""

    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@contextmanager
def in_f64(model):
    """A copy of the model that computes in f64 throughout."""
    wide = copy.deepcopy(model).double()
    base = wide.get_base_model() if hasattr(wide, "get_base_model") else wide
    file = sys.modules[type(base).__module__]
    file.torch = _Wide()
    narrow = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double  # deepseek_v2 rotates what it made f32 of
    try:
        yield wide
    finally:
        file.torch = torch
        torch.Tensor.float = narrow


def coefficient(model):
    """of the balance loss, as TRL has it: whatever the file says of output_router_logits"""
    config = model.config.get_text_config()
    return getattr(config, "router_aux_loss_coef", 0.0) if hasattr(config, "output_router_logits") else 0.0


def batch_nll(model, rows, dynamic=False):
    """The balance loss of the rows, 0 where the model has none. And for each row (logits (len, V), summed NLL of its targets): token i is predicted from position i - 1. Rows are padded on the right.
    dynamic: each target's times its probability, a number."""
    longest = max(len(row["ids"]) for row in rows)
    ids = torch.tensor([row["ids"] + [0] * (longest - len(row["ids"])) for row in rows])
    padding = {}
    if len(rows) > 1:
        padding["attention_mask"] = torch.tensor([[int(i < len(row["ids"])) for i in range(longest)] for row in rows])
    balance = dict(output_router_logits=True) if coefficient(model) else {}
    result = model(input_ids=ids, use_cache=False, **padding, **balance)
    out = result.logits
    made = []
    for i, row in enumerate(rows):
        at = torch.tensor(row["targets"]).nonzero()[:, 0]
        nll = F.cross_entropy(out[i, at - 1], ids[i, at], reduction="none")
        made.append((out[i, : len(row["ids"])], (nll * torch.exp(-nll).detach() if dynamic else nll).sum()))
    return result.aux_loss if balance else torch.zeros(()), made


def step(model, rows, batches=None, dynamic=False):
    """Micro-batches (numbers of rows; default: each row alone) one by one, the loss divided by the targets of all rows as TRL does over an
    accumulated batch; a balance loss is averaged over them. Gradients stay in the parameters."""
    model.train()
    model.zero_grad()
    count = sum(sum(row["targets"]) for row in rows)
    logits, sums = [None] * len(rows), [None] * len(rows)
    batches = batches or [[i] for i in range(len(rows))]
    balance = 0
    for batch in batches:
        aux, made = batch_nll(model, [rows[i] for i in batch], dynamic)
        term = coefficient(model) * aux / len(batches)
        (sum(nll for _, nll in made) / count + term).backward()
        balance = balance + term.detach()
        for i, (out, nll) in zip(batch, made):
            logits[i], sums[i] = out.detach(), nll.detach()
    means = [s / sum(row["targets"]) for s, row in zip(sums, rows)]
    return logits, torch.stack(sums).sum() / count + balance, means


def beside(name):
    """A parameter of the vision tower, which rows of text don't reach."""
    return "vision_tower." in name or "multi_modal_projector." in name


def gradients(model):
    """Gradient of every trainable parameter, by the name its file gives it: PEFT's adapter_model.safetensors, or the checkpoint's."""
    grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad and not beside(name)}
    missing = [name for name, grad in grads.items() if grad is None]
    assert not missing, f"no gradient reached {missing}"
    if hasattr(model, "peft_config"):
        from peft import get_peft_model_state_dict

        named = get_peft_model_state_dict(model, state_dict=grads, save_embedding_layers=False)
        # PEFT picks a bias only for an adapted module (lora_only) or all of them (all): nothing trainable may be left unnamed
        assert len(named) == len(grads), sorted(grads)
        grads = named
    return {name: grad.clone().contiguous() for name, grad in grads.items()}


def distance(a, b):
    """‖a − b‖₂ / ‖b‖₂ in f64"""
    a, b = a.double(), b.double()
    return (torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b)).item()


def greedy(model, prompt, count):
    """The `count` most likely tokens after the prompt, and the smallest lead any of them had over the next best (logits)."""
    model.eval()
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=count,
            output_logits=True, return_dict_in_generate=True, pad_token_id=0,
        )
    best = torch.stack(out.logits)[:, 0].topk(2).values
    return out.sequences[0, len(prompt):].tolist(), (best[:, 0] - best[:, 1]).min().item()
