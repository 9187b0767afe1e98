"""transformers' side of bench/generate.ts: greedy answers to prompts of ids, timed from the first token on.

  python bench/hf_generate.py REQUEST.json
Prints one line of JSON."""
import json, os, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

with open(sys.argv[1]) as f:
    request = json.load(f)
device = request["device"]
nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
model = AutoModelForCausalLM.from_pretrained(
    request["folder"], dtype=torch.bfloat16, device_map={"": 0 if device == "cuda" else "cpu"}, attn_implementation="sdpa",
    **(dict(quantization_config=nf4) if request["nf4"] else {}),
)
model.eval()

def ask(prompts, new):
    ids = torch.tensor(prompts, device=model.device)
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=False, num_beams=1, use_cache=True, pad_token_id=0,
    )
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, out[:, ids.shape[1] :].tolist()

results = []
with torch.inference_mode():
    for prompts in request["prompts"]:
        new = request["newTokens"]
        for _ in range(2):
            first, _ = ask(prompts, 1)
            whole, ids = ask(prompts, new)
        results.append(dict(who="transformers", batch=len(prompts), tokensPerSecond=len(prompts) * (new - 1) / (whole - first), firstSeconds=first, ids=ids))
print(json.dumps(results))
