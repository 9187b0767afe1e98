"""A baseline's program with what a comparison needs beside its numbers: the same rows for every case, every step's losses.

  python cuda_baseline.py run PROGRAM ARGUMENT...      runs it as it is; every case begins with the first rows; after each one STEPS line
  python cuda_baseline.py windows VOCAB OUT BxS...     the ids it draws for windows (a card's generator has numbers of its own), as JSON
  python cuda_baseline.py nf4 FROM TO                  a checkpoint as bitsandbytes quantises it, as files
"""
import json
import os
import sys

os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")  # as the program asks, and before torch is there
import torch  # noqa: E402


def windows(vocab, out, cases):
    drawn = {}
    for case in cases:
        b, s = map(int, case.split("x"))
        gen = torch.Generator(device="cuda").manual_seed(0)
        steps = [torch.randint(0, vocab, (b, s), generator=gen, device="cuda").tolist() for _ in range(9)]
        drawn[case] = [row for step in steps for row in step]
    with open(out, "w") as f:
        json.dump(drawn, f)


def nf4(source, target):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    q = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16
    )
    model = AutoModelForCausalLM.from_pretrained(source, quantization_config=q, dtype=torch.bfloat16, device_map={"": 0})
    model.save_pretrained(target)


def run(program, arguments):
    sys.argv = [program, *arguments]
    space = {"__name__": "__main__", "__file__": program}
    steps, losses = [], []

    backward = torch.Tensor.backward

    def recorded(self, *args, **kwargs):
        losses.append(self.detach())
        return backward(self, *args, **kwargs)

    torch.Tensor.backward = recorded
    clip = torch.nn.utils.clip_grad_norm_

    def clipped(*args, **kwargs):
        norm = clip(*args, **kwargs)
        steps.append((list(losses), norm.detach()))
        losses.clear()
        return norm

    torch.nn.utils.clip_grad_norm_ = clipped
    reset = torch.cuda.reset_peak_memory_stats

    def begin(*args, **kwargs):
        if "gen" in space and "pos" in space:
            space["gen"].manual_seed(0)
            space["pos"][0] = 0
            steps.clear()
            losses.clear()
        return reset(*args, **kwargs)

    torch.cuda.reset_peak_memory_stats = begin

    def told(*values, **kwargs):
        print(*values, **{**kwargs, "flush": True})
        if values and str(values[0]).startswith("RES ") and steps:
            told_steps = [{"losses": [len(ls) * x.item() for x in ls], "gradNorm": n.item()} for ls, n in steps]
            print("STEPS " + json.dumps(told_steps), flush=True)

    space["print"] = told
    with open(program) as f:
        exec(compile(f.read(), program, "exec"), space)


what, *rest = sys.argv[1:]
if what == "run":
    run(rest[0], rest[1:])
elif what == "windows":
    windows(int(rest[0]), rest[1], rest[2:])
elif what == "nf4":
    nf4(*rest)
else:
    sys.exit(__doc__)
