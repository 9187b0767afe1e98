"""What `saqr prove` asks of TRL: `trl sft --config FILE` (or dpo, kto; orpo and cpo: alone.py) as it is installed, ended after some steps, with what it
did written down.

  python trl_side.py check
  python trl_side.py run KIND CONFIG WORK STEPS [--cpu] [--threads N] [--f32-from FOLDER] [--exact-softmax] [-- FLAGS OF TRL]

`check` prints a line of JSON: the versions there are. `run` writes into WORK:
  gradients.bin   f32, one tensor behind the other: a tensor's gradient in the first of three steps in which it isn't all 0, before clipping
  gradients.json  [{name, step, shape, offset}], offset counted in floats
  start.bin, start.json   the same of an adapter's values as training began, where there is one
  end.bin, end.json       the same of what is trained, after the last step
  rows.jsonl      a line a step: its micro-batches, each a list of rows (rows.py)
  trl.json        losses and learning rates of the steps, the time at the end of each, memory, versions, what was overridden, whether log-softmax on the CPU had a part
  held.json       types of all parameters
`--f32-from`: the same run in f32 from the very values that FOLDER's began with: what the configuration's own arithmetic costs is the distance of both.
`--exact-softmax`: torch's log-softmax on the CPU adds in f64 (softmax.py).
A line `@step N LOSS` on stdout tells how far it is, `@misread WEIGHT SHARE WIDTH` that bitsandbytes reads a 4-bit weight as something else than what is in it:
then nothing is trained."""
import json
import math
import os
import platform
import sys
import threading
import time

from alone import script_of
from rows import of_batch
from softmax import LogSoftmax

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes")
#: steps in which a gradient that isn't all 0 is waited for: B of LoRA begins at 0, so A has none before B has moved
GRADIENT_STEPS = 3


def versions():
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "executable": sys.executable}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def end_with_parent():
    """Whoever started this holds stdin: where that ends, so does this."""

    def watch():
        while os.read(0, 1024):
            pass
        os._exit(143)

    threading.Thread(target=watch, daemon=True).start()


def peak_bytes():
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


class Written:
    """Tensors as f32, one behind the other in one file."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, name)
        self.index = {}
        self.offset = 0
        self.file = open(self.path + ".bin", "wb")

    def add(self, name, step, tensor):
        values = tensor.detach().float().cpu().contiguous().numpy()
        values.tofile(self.file)
        self.index[name] = dict(name=name, step=step, shape=list(values.shape), offset=self.offset)
        self.offset += values.size

    def close(self):
        self.file.close()
        with open(self.path + ".json", "w") as file:
            json.dump(list(self.index.values()), file)


def in_file(name):
    """A parameter's name as a file of weights, or of an adapter, has it."""
    name = name.removeprefix("base_model.model.")
    return name.replace(".modules_to_save.default", "").replace(".default", "")


def held_as(p):
    """A parameter's type. Codes of 4 bits are codes whatever they are stored as: bitsandbytes packs them into numbers of any type (bnb_4bit_quant_storage)."""
    return "4 bits" if getattr(p, "quant_state", None) is not None else str(p.dtype)


#: elements of a 4-bit weight that are looked at: in whole blocks of its scales
LOOKED_AT = 2**20
#: of a weight's norm: above what rounding to bf16 (2^-9 of each number) or sums of a scale in another order explain
SAME = 2**-8


def misread(model):
    """The first 4-bit weight that bitsandbytes' kernels take for something else than its codes times its scales, how far off that is as a share
    of its norm, and its width; None: there is none. bitsandbytes 0.50 on processors with AVX-512 goes by the wrong scales where 64 doesn't divide
    the width."""
    found = {name: p for name, p in model.named_parameters() if getattr(p, "quant_state", None) is not None}
    if not found:
        return None
    import torch
    from bitsandbytes import functional as F

    for name, p in found.items():
        state = p.quant_state
        count = min(state.shape.numel(), LOOKED_AT)
        blocks = -(-count // state.blocksize)
        scales = state.absmax[:blocks]
        if state.nested:
            scales = state.state2.code[scales.long()] * state.state2.absmax.repeat_interleave(state.state2.blocksize)[:blocks] + state.offset
        packed = p.data.contiguous().view(torch.uint8).reshape(-1)[: -(-count // 2)]
        codes = torch.stack([packed >> 4, packed & 15], 1).reshape(-1)[:count].long()
        code = F.get_4bit_type(state.quant_type, device=p.device)
        values = code[codes] * scales.float().repeat_interleave(state.blocksize)[:count]
        read = F.dequantize_4bit(p.data, state).float().reshape(-1)[:count]
        off = ((read - values).norm() / values.norm()).item()
        if not off <= SAME:
            return name, off, state.shape[-1]
    return None


HALVES = ("torch.bfloat16", "torch.float16")


def to_f32(model, others, f32_from):
    """A model that was opened in f32, with the values that the run in FOLDER had: what that held in half precision is rounded to it, and an adapter begins
    as that run's did, whose random bits another type may draw otherwise. A reference that stands apart (`others`) likewise."""
    import numpy
    import torch

    with open(os.path.join(f32_from, "held.json")) as file:
        held = json.load(file)
    for one in (model, *others):
        for name, p in one.named_parameters():
            if getattr(p, "quant_state", None) is not None:
                continue
            if p.is_floating_point() and p.element_size() == 1:
                raise SystemExit(f"{name} is {p.dtype}, which is not computed with in f32")
            half = held.get(name)
            p.data = p.data.to(getattr(torch, half.split(".")[1])).float() if half in HALVES else p.data.float()
        for module in one.modules():
            if getattr(getattr(module, "weight", None), "quant_state", None) is not None:
                module.compute_dtype = module.weight.quant_state.dtype = torch.float32
    start = os.path.join(f32_from, "start")
    if not os.path.exists(start + ".json"):
        return
    parameters = {in_file(name): p for name, p in model.named_parameters() if p.requires_grad and ".ref." not in name}
    values = numpy.fromfile(start + ".bin", dtype=numpy.float32)
    with open(start + ".json") as file:
        for one in json.load(file):
            p = parameters[one["name"]]
            p.data.copy_(torch.from_numpy(values[one["offset"] : one["offset"] + p.numel()]).reshape(p.shape))


def recorded(base, kind, work, steps, f32_from):
    from transformers import TrainerCallback

    class Ends(TrainerCallback):
        def __init__(self, trainer):
            self.trainer = trainer

        def on_train_begin(self, args, state, control, **kwargs):
            self.trainer.begin(state)

        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            self.trainer.keep_gradients()  # where nothing is clipped
            self.trainer.proof["rates"].append(float(optimizer.param_groups[0]["lr"]))

        def on_step_end(self, args, state, control, **kwargs):
            self.trainer.end_step(state)
            if state.global_step >= steps:
                control.should_training_stop = True

    class Recorder(base):
        """The trainer as it is, with what it did written down."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.proof = dict(losses=[], rates=[], ends=[], tokens=[])
            self.loss = 0.0
            self.gradients = Written(work, "gradients")
            self.rows = open(os.path.join(work, "rows.jsonl"), "w")
            self.add_callback(Ends(self))
            clip = self.accelerator.clip_grad_norm_

            def clipped(*args, **kwargs):
                self.keep_gradients()
                return clip(*args, **kwargs)

            self.accelerator.clip_grad_norm_ = clipped

        def named(self):
            model = self.accelerator.unwrap_model(self.model)
            return [(in_file(name), p) for name, p in model.named_parameters() if p.requires_grad and ".ref." not in name]

        def begin(self, state):
            model = self.accelerator.unwrap_model(self.model)
            wrong = misread(model)
            if wrong:
                name, off, width = wrong
                print(f"@misread {in_file(name)} {off:.3f} {width}", flush=True)
                sys.exit(3)
            if f32_from:
                reference = getattr(self, "ref_model", None)
                to_f32(model, [] if reference is None else [self.accelerator.unwrap_model(reference)], f32_from)
            with open(os.path.join(work, "held.json"), "w") as file:
                json.dump({name: held_as(p) for name, p in model.named_parameters()}, file)
            if hasattr(model, "peft_config"):
                self.keep_values("start", 0)
            self.proof["trained"] = [[name, list(p.shape), str(p.dtype)] for name, p in self.named()]
            self.proof["steps"] = state.max_steps
            self.proof["dtypes"] = sorted({held_as(p) for p in model.parameters()})
            self.began = time.perf_counter()

        def get_batch_samples(self, *args, **kwargs):
            batches, count = super().get_batch_samples(*args, **kwargs)
            if batches and len(self.proof["tokens"]) < steps:
                rows = [of_batch(batch, whole_chosen=kind == "orpo") for batch in batches]
                self.proof["tokens"].append(sum(len(row["ids"]) for batch in rows for row in batch))
                self.rows.write(json.dumps(rows, separators=(",", ":")) + "\n")
            return batches, count

        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            self.loss += loss.item()  # of the step: each micro-batch has its share
            return loss

        def keep_values(self, name, step):
            values = Written(work, name)
            for each, p in self.named():
                values.add(each, step, p)
            values.close()

        def keep_gradients(self):
            step = self.state.global_step + 1
            if step > GRADIENT_STEPS:
                return
            for name, p in self.named():
                if name not in self.gradients.index and p.grad is not None and bool((p.grad != 0).any()):
                    self.gradients.add(name, step, p.grad)

        def end_step(self, state):
            self.proof["losses"].append(self.loss if math.isfinite(self.loss) else None)  # JSON has no word for it
            self.proof["ends"].append(time.perf_counter() - self.began)
            print(f"@step {state.global_step} {self.loss:.6f}", flush=True)
            self.loss = 0.0
            if state.global_step == min(steps, state.max_steps):
                self.keep_values("end", state.global_step)

        def finish(self):
            self.gradients.close()
            self.rows.close()
            return self.proof

        # nothing of the run is kept
        def save_model(self, *args, **kwargs):
            pass

        def push_to_hub(self, *args, **kwargs):
            pass

    return Recorder


def overrides(work):
    """What ends a run of some steps early and keeps it to itself; no number of a step depends on it."""
    return [
        "--output_dir", os.path.join(work, "trl"), "--report_to", "none", "--disable_tqdm", "true",
        "--eval_strategy", "no", "--eval_on_start", "false", "--save_strategy", "no", "--load_best_model_at_end", "false",
        "--logging_strategy", "steps", "--logging_steps", "1", "--push_to_hub", "false",
    ]  # fmt: skip


def run(kind, config, work, steps, cpu, threads, f32_from, exact_softmax, flags):
    if cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        flags = ["--use_cpu", "true", *flags]
    if f32_from:
        flags = [*flags, "--bf16", "false", "--fp16", "false", "--dtype", "float32"]
    import torch
    import trl

    if threads:
        torch.set_num_threads(threads)
    softmax = LogSoftmax(exact_softmax) if cpu else None
    script = script_of(kind)
    name = f"{kind.upper()}Trainer"
    made = []

    trainers = getattr(script, "trainers", trl)
    recorder = recorded(getattr(trainers, name), kind, work, steps, f32_from)

    def make(*args, **kwargs):
        made.append(recorder(*args, **kwargs))
        return made[-1]

    # the script asks for its trainer by name when it runs
    setattr(trainers, name, make)
    if hasattr(script, name):
        setattr(script, name, make)
    sys.argv = [f"trl {kind}"]
    parsed = script.make_parser().parse_args_and_config(args=["--config", config, *overrides(work), *flags])
    script_args, training_args, model_args = parsed[:3]
    training_args.resume_from_checkpoint = None
    changed = {}

    def quiet(holder, name, value):
        before = getattr(holder, name, None)
        if before not in (None, value):
            changed[name] = before
            setattr(holder, name, value)

    # random bits differ between any two programs
    if model_args.use_peft:
        quiet(model_args, "lora_dropout", 0.0)
    quiet(training_args, "neftune_noise_alpha", None)
    script.main(*parsed)
    proof = made[0].finish()
    device = torch.cuda.get_device_name(0) if training_args.device.type == "cuda" else None
    proof.update(
        changed=changed,
        bf16=bool(training_args.bf16),
        fp16=bool(training_args.fp16),
        max_grad_norm=training_args.max_grad_norm,
        device=training_args.device.type,
        card=device,
        threads=torch.get_num_threads(),
        peak_bytes=peak_bytes(),
        cuda=torch.version.cuda,
        versions=versions(),
        command=["trl", kind, "--config", config],
        log_softmax=softmax is not None and softmax.in_loss,
    )
    with open(os.path.join(work, "trl.json"), "w") as file:
        json.dump(proof, file)


def main():
    words = sys.argv[1:]
    if words[0] == "check":
        print(json.dumps(versions()))
        return
    _, kind, config, work, steps, *rest = words
    own, flags = (rest[: rest.index("--")], rest[rest.index("--") + 1 :]) if "--" in rest else (rest, [])
    value = lambda name: own[own.index(name) + 1] if name in own else None
    threads = int(value("--threads") or 0)
    end_with_parent()
    run(kind, config, work, int(steps), "--cpu" in own, threads, value("--f32-from"), "--exact-softmax" in own, flags)


if __name__ == "__main__":
    main()
