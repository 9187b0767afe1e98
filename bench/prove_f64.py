"""TRL's side of `saqr prove` in f64: model, norms, casts, losses, optimiser, from the values that the run in f32 begins with.

  saqr prove KIND CONFIG --python WRAPPER        WRAPPER: #!/bin/sh
                                                          exec python bench/prove_f64.py "$@"
  python bench/prove_f64.py --apart A B          two folders of trl_side.py: gradients of each step as shares of B's norm, and both sides' losses

What the first says of losses, gradients and weights is then saqr's distance from f64, of which tolerances know nothing: they stay those of f32."""
import json
import os
import sys


def in_f64():
    import torch

    f32, f64 = torch.float32, torch.float64
    init = torch.nn.init
    drawn = init.kaiming_uniform_

    def as_f32_draws(tensor, *args, **kwargs):
        if tensor.is_meta or tensor.dtype != f64:
            return drawn(tensor, *args, **kwargs)
        with torch.no_grad():
            return tensor.copy_(drawn(torch.empty(tensor.shape, dtype=f32), *args, **kwargs))

    init.kaiming_uniform_ = as_f32_draws
    torch.Tensor.float = torch.Tensor.double
    torch.float32 = torch.float = f64
    torch.set_default_dtype(f64)
    return f32, f64


def run(script, args):
    f32, f64 = in_f64()
    folder = os.path.dirname(os.path.abspath(script))
    sys.path.insert(0, folder)
    sys.argv = [script, *args]
    import trl_side

    add, held = trl_side.Written.add, trl_side.held_as
    trl_side.held_as = lambda p: held(p).replace("float64", "float32")

    def as_f32(self, name, step, tensor):
        import torch

        double, torch.Tensor.float = torch.Tensor.float, lambda t: t.to(f32)
        try:
            add(self, name, step, tensor)
        finally:
            torch.Tensor.float = double

    trl_side.Written.add = as_f32
    trl_side.main()


def apart(a, b):
    import numpy

    sides = []
    for folder in (a, b):
        values = numpy.fromfile(os.path.join(folder, "gradients.bin"), dtype=numpy.float32).astype(numpy.float64)
        with open(os.path.join(folder, "gradients.json")) as file:
            index = {one["name"]: one for one in json.load(file)}
        with open(os.path.join(folder, "trl.json")) as file:
            losses = json.load(file)["losses"]
        sides.append((values, index, losses))
    (x, ix, lx), (y, iy, ly) = sides
    part = lambda values, one: values[one["offset"] : one["offset"] + int(numpy.prod(one["shape"]))]
    for step in sorted({one["step"] for one in iy.values()}):
        worst, squares, whole = ("", 0.0), 0.0, 0.0
        for name, one in iy.items():
            if one["step"] != step:
                continue
            p, q = part(x, ix[name]), part(y, one)
            off, norm = ((p - q) ** 2).sum(), (q**2).sum()
            squares, whole = squares + off, whole + norm
            worst = max(worst, (name, (off / norm) ** 0.5), key=lambda one: one[1])
        print(f"gradients of step {step}: {(squares / whole) ** 0.5:.2e} of their norm apart; {worst[0]} {worst[1]:.2e}")
    print("losses:", " ".join(f"{p:.7f} {q:.7f} {p - q:+.1e};" for p, q in zip(lx, ly)))


if __name__ == "__main__":
    words = sys.argv[1:]
    apart(*words[1:]) if words[0] == "--apart" else run(words[0], words[1:])
