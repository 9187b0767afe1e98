"""The same steps with transformers + PEFT on the CPU: SmolLM2 out of its GGUF, LoRA r 16 on the seven projections, AdamW.

  python bench/hf_cpu.py CASE MODEL ROWS.json THREADS     CASE: bf16-windows | bf16-rows | f32-windows; MODEL: a GGUF or a folder; ROWS.json: lists
  of token ids
  python bench/hf_cpu.py make FOLDER                      SmolLM2-135M's shape with random weights
Prints one line of JSON, as bench/cpu-case.ts does. Rows are padded to the longest of their batch; only their own tokens are counted."""
import json, os, resource, sys, time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
if sys.argv[1] == "make":
    shape = dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3)
    config = LlamaConfig(vocab_size=49152, max_position_embeddings=8192, rope_theta=100000.0, tie_word_embeddings=True, **shape)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[2])
    sys.exit()
case, path, rows_file, threads = sys.argv[1:5]
steps = 7
torch.set_num_threads(int(threads))
dtype = torch.bfloat16 if case.startswith("bf16") else torch.float32
if os.path.isdir(path):
    model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
else:
    folder, name = os.path.split(path)
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
