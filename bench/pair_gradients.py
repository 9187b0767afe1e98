"""What DPO's first steps can learn of a file of pairs: each pair's gradient where training begins, and what steps along those of some pairs say of the others.

  python bench/pair_gradients.py MODEL ROWS MAX_LENGTH [THREADS]     MODEL: a folder of f32 or bf16 weights; ROWS: ShareGPT's pairs; with torch, transformers and numpy
As long as weights have moved little, the margin of a pair is beta · g · moved, with g the gradient of its difference of log-probabilities: that of LoRA's B (r 16, all linears;
A's is 0 as B begins as 0). So all folds, seeds and learning rates are tried on gradients that were computed once. Adam's run takes every 16th block of 64 numbers.
Rows whose prompt fills MAX_LENGTH are left out, the others cut, as TRL does. Prints what the lengths and the model say by themselves, then held-out accuracies over 5 folds."""
import json, math, os, random, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np, torch
from transformers import AutoModelForCausalLM, AutoTokenizer

path, rows_file, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
SEEDS, FOLDS, R, BETA, EVERY, BLOCK = 8, 5, 16, 0.1, 16, 64
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}

model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(path)
for parameter in model.parameters():
    parameter.requires_grad_(False)
random_a = torch.Generator().manual_seed(0)
size, gradient = 0, None


def watch(linear, at):
    """adds dB = 2 · dyᵀ (x Aᵀ), alpha / r = 2, of every pass"""
    a = (torch.rand(R, linear.in_features, generator=random_a) * 2 - 1) / math.sqrt(linear.in_features)

    def forward(_, inputs, output):
        u = inputs[0].detach()[0] @ a.T

        def backward(dy):
            gradient[at : at + R * linear.out_features] += (2 * (dy[0].T @ u)).reshape(-1)

        output.register_hook(backward)

    linear.register_forward_hook(forward)


for linear in (module for module in model.model.modules() if isinstance(module, torch.nn.Linear)):
    watch(linear, size)
    size += R * linear.out_features


def scored(prompt, text):
    """log-probabilities of an answer's tokens, and the gradient of their sum"""
    global gradient
    ids = (prompt + tokenizer(text, add_special_tokens=False)["input_ids"])[:limit]
    gradient = torch.zeros(size)
    x = model.model.embed_tokens(torch.tensor([ids[:-1]])).requires_grad_(True)
    h = model.model(inputs_embeds=x, use_cache=False).last_hidden_state[0, len(prompt) - 1 :]
    logps = -torch.nn.functional.cross_entropy(model.lm_head(h), torch.tensor(ids[len(prompt) :]), reduction="none")
    logps.sum().backward()
    return logps.detach().numpy(), gradient.numpy()


with open(rows_file) as f:
    rows = json.load(f)
gradients, facts, began = [], [], time.process_time()
for row in rows:
    asked = [dict(role=ROLES[one["from"]], content=one["value"]) for one in row["conversations"]]
    begin = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    prompt = tokenizer(begin, add_special_tokens=False)["input_ids"]
    if len(prompt) >= limit:
        continue
    texts = [tokenizer.apply_chat_template(asked + [dict(role="assistant", content=row[side]["value"])], tokenize=False) for side in ("chosen", "rejected")]
    (chosen, of_chosen), (rejected, of_rejected) = (scored(prompt, text[len(begin) :]) for text in texts)
    gradients.append((of_chosen - of_rejected).astype(np.float16))
    facts.append((len(chosen) > len(rejected), chosen.sum() > rejected.sum(), chosen.mean() > rejected.mean()))
g = np.stack(gradients)
n = len(g)
rules = dict(zip(("longerAsCut", "likelier", "likelierByToken"), np.mean(facts, axis=0).round(3).tolist()))
print(json.dumps(dict(pairs=n, maxLength=limit, standardError=round(math.sqrt(0.24 / n), 3), chosenIs=rules, cpuSeconds=round(time.process_time() - began))), flush=True)


def folds(seed):
    order = list(range(n))
    random.Random(seed).shuffle(order)
    for fold in range(FOLDS):
        held = order[fold::FOLDS]
        yield held, [i for i in order if i not in set(held)]


def over_seeds(right):
    """accuracies by seed, of what says of held-out pairs, by the others, whether they come out right"""
    found = [sum(int(right(held, rest).sum()) for held, rest in folds(seed)) / n for seed in range(SEEDS)]
    return dict(accuracy=round(float(np.mean(found)), 3), bySeed=[round(one, 3) for one in found])


alike = np.zeros((n, n))
for at in range(0, size, 1 << 17):
    part = g[:, at : at + (1 << 17)].astype(np.float32)
    alike += part @ part.T
alike /= np.mean(np.diag(alike))
for steps in (1, 10, 100):

    def descended(held, rest):
        weight, own = np.zeros(len(rest)), alike[np.ix_(rest, rest)]
        for _ in range(steps):
            weight += 0.3 / (1 + np.exp(np.clip(own @ weight, -30, 30)))
        return alike[np.ix_(held, rest)] @ weight > 0

    print(json.dumps(dict(gradientDescent=steps, **over_seeds(descended))), flush=True)

taken = np.random.default_rng(0).choice(size // BLOCK, size // BLOCK // EVERY, replace=False)
few = g[:, : size // BLOCK * BLOCK].reshape(n, -1, BLOCK)[:, np.sort(taken)].reshape(n, -1).astype(np.float32)
for rate, epochs in ((2e-5, 1), (1e-4, 1), (5e-4, 1), (5e-4, 3)):
    margins = []

    def adam(held, rest, batch=8):
        w, m, v = (np.zeros(few.shape[1], np.float32) for _ in range(3))
        steps, step = math.ceil(len(rest) / batch) * epochs, 0
        for epoch in range(epochs):
            for at in range(0, len(rest), batch):
                rows = few[rest[at : at + batch]]
                d = -(BETA / (1 + np.exp(BETA * EVERY * (rows @ w))) / len(rows)) @ rows
                d *= min(1, 1 / (np.linalg.norm(d) * math.sqrt(EVERY)))
                step += 1
                m, v = 0.9 * m + 0.1 * d, 0.999 * v + 0.001 * d * d
                now = rate * min(1, step / (0.1 * steps)) * (1 - (step - 1) / steps)
                w -= now * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        margins.append(np.abs(BETA * EVERY * (few[held] @ w)).mean())
        return few[held] @ w > 0

    print(json.dumps(dict(adam=rate, epochs=epochs, **over_seeds(adam), margin=round(float(np.mean(margins)), 3))), flush=True)
