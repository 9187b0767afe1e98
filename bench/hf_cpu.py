"""The same steps with transformers + PEFT on the CPU: SmolLM2 out of its GGUF, LoRA r 16 on the seven projections, AdamW.

  python bench/hf_cpu.py CASE MODEL.gguf ROWS.json     CASE: bf16-windows | bf16-rows | f32-windows; ROWS.json: lists of token ids
Prints one line of JSON, as bench/cpu-case.ts does. Rows are padded to the longest of their batch; only their own tokens are counted."""
import json, os, resource, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaForCausalLM

case, gguf, rows_file = sys.argv[1:4]
steps = 7
torch.set_num_threads(os.cpu_count())
torch.manual_seed(0)
folder, name = os.path.split(gguf)
dtype = torch.bfloat16 if case.startswith("bf16") else torch.float32
packed = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
# transformers keeps a GGUF's weights packed, which is slow: an ordinary model with the same values, as a user would have downloaded it
model = LlamaForCausalLM(packed.config).to(dtype)
model.load_state_dict(packed.state_dict())
del packed
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=16, task_type="CAUSAL_LM", target_modules=targets))
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)

with open(rows_file) as f:
    rows = json.load(f)


def batches():
    if case.endswith("windows"):
        stream = [t for r in rows for t in r]
        for i in range(steps):
            x = torch.tensor(stream[2048 * i : 2048 * (i + 1)]).view(4, 512)
            yield x, torch.ones_like(x), x.clone(), 2048
        return
    for i in range(steps):
        b = rows[8 * i : 8 * (i + 1)]
        x = torch.zeros(8, max(map(len, b)), dtype=torch.long)
        mask, labels = x.clone(), torch.full_like(x, -100)
        for j, r in enumerate(b):
            x[j, : len(r)] = labels[j, : len(r)] = torch.tensor(r)
            mask[j, : len(r)] = 1
        yield x, mask, labels, sum(map(len, b))


losses, norms, seconds, rates = [], [], [], []
for i, (x, mask, labels, count) in enumerate(batches()):
    t = time.perf_counter()
    loss = model(input_ids=x, attention_mask=mask, labels=labels).loss
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if i:
        seconds.append(time.perf_counter() - t)
        rates.append(count / seconds[-1])
    losses.append(loss.item())
    norms.append(norm.item())
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(case=case, tokensPerSecond=sorted(rates)[len(rates) // 2], stepSeconds=seconds, losses=losses, gradNorms=norms, peakRssMiB=peak)))
