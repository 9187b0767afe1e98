"""transformers' side of bench/pair-rounding.ts: what bf16 makes of the same answers' log-probabilities under the base.

  python bench/pair_rounding.py MODEL.gguf PAIRS.json [PAIRS=6] [MAX_LENGTH=1024] [THREADS=2]
Prints a line: errors of an answer's sum beside f32's, and of a token's (their means and root mean squares), of the first pairs whose prompt is shorter than the limit."""
import json, os, sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

path, rows_file = sys.argv[1:3]
pairs, limit, threads = (int(sys.argv[i]) if len(sys.argv) > i else usual for i, usual in ((3, 6), (4, 1024), (5, 2)))
torch.set_num_threads(threads)
transformers.logging.set_verbosity_error()
folder, name = os.path.split(path)
packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}
said = lambda one: dict(role=ROLES[one["from"]], content=one["value"])
sequences = []
with open(rows_file) as f:
    for row in json.load(f):
        begun = [said(one) for one in row["conversations"]]
        prompt = tokenizer.apply_chat_template(begun, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if len(ids) >= limit:
            continue
        for side in ("chosen", "rejected"):
            whole = tokenizer.apply_chat_template([*begun, said(row[side])], tokenize=False)
            answer = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
            sequences.append((len(ids), (ids + answer)[:limit]))
        if len(sequences) >= 2 * pairs:
            break


def scores(dtype):
    model = type(packed)(packed.config).to(dtype)
    model.load_state_dict(packed.state_dict())
    model.eval()
    found = []
    with torch.no_grad():
        for prompt, ids in sequences:
            x = torch.tensor([ids])
            logits = model(x).logits[0, prompt - 1 : -1].double()
            found.append(logits.log_softmax(-1).gather(-1, x[0, prompt:, None])[:, 0])
    return found


exact, half = scores(torch.float32), scores(torch.bfloat16)
off = torch.tensor([(a - b).sum() for a, b in zip(half, exact)])
each = torch.cat([a - b for a, b in zip(half, exact)])
rms = lambda x: x.square().mean().sqrt().item()
tokens = [len(one) for one in exact]
walk = (sum(tokens) / len(tokens)) ** 0.5 * rms(each)
print(json.dumps(dict(who="transformers in bf16", answers=len(off), tokens=tokens, answerError=dict(mean=off.mean().item(), rms=rms(off)), tokenError=dict(mean=each.mean().item(), rms=rms(each)), ofSoManyIndependentTokens=walk)))
