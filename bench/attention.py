"""Attention's CUDA kernels by themselves: held against f64, and timed beside PyTorch's (cuDNN, FlashAttention-2). Hopper; needs torch and nvcc.

  python bench/attention.py check      values and both gradients, all kinds of masks, outputs full of NaN before, twice the same bits
  python bench/attention.py time       causal rows, beside PyTorch's two ways
  python bench/attention.py tries      rows apart and with shared beginnings: time beside the pairs that see each other
  python bench/attention.py short      a step's few short rows: each kernel's time, with blocks of keys whole and cut (pieces.cuh)
Kernels are built from src/ops/attention: `hopper` as it runs there, `tensor` (mma.sync) as it runs on sm_80 and later, here for this card.
Ours are timed as graphs, as the CUDA device runs them; everything that goes before the kernels is counted."""

import ctypes, os, re, subprocess, sys, tempfile, warnings

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

warnings.filterwarnings("ignore")
SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src/ops/attention")
INTS = ["heads", "kvHeads", "headDim", "valueDim"]
ATTRS = "struct attention_attrs { int heads, kvHeads, headDim, valueDim; float scale; int window; float softCap; };"
POINTERS = "q k v dO o dQ dK dV lse delta visibleFrom until depth sinks tiles masks lse2 queryOrder keyOrder queues maps keyPieces arrivals parts".split()
STRIDES = [f"{t}Stride" for t in "q k v dO o dQ dK dV lse".split()]
# by name: the most channels of a head of q and k, and of v; whether there are kernels with a soft cap; Hopper's shared memory
SIZES = {
    name: (int(d), int(v), capped == "true", [int(n.replace("_", "")) for n in numbers.split(",")])
    for name, d, v, capped, numbers in re.findall(
        r"name: '(\w+)', headDim: (\d+), valueDim: (\d+), capped: (\w+), shared: \[([\d_, ]+)\]", open(os.path.join(SOURCES, "cuda.ts")).read()
    )
}
BLOCK, MULTIPROCESSORS, LEAST_STEPS = 128, 132, 8
torch.zeros(1, device="cuda")
driver = ctypes.CDLL("libcuda.so.1")
built = tempfile.mkdtemp()
loaded = {}


class Problem(ctypes.Structure):
    """of problem.cuh"""

    _fields_ = [(n, ctypes.c_uint64) for n in POINTERS] + [(n, ctypes.c_int) for n in STRIDES + ["queries", "keys", "sinksInBf16", "slots"] + INTS]
    _fields_ += [("scale", ctypes.c_float), ("window", ctypes.c_int), ("softCap", ctypes.c_float)]


def call(name, *args):
    status = getattr(driver, name)(*args)
    if status:
        raise RuntimeError(f"{name}: {status}")


def build(names):
    with open(os.path.join(built, "attrs.cuh"), "w") as f:
        f.write(f"#pragma once\n{ATTRS}\n")
    command = ["nvcc", "-cubin", "-std=c++17", "-gencode=arch=compute_90a,code=sm_90a", "-I", built]
    running = [subprocess.Popen([*command, "-o", f"{built}/{n}.cubin", f"{SOURCES}/{n}.cu"]) for n in names]
    if any(p.wait() for p in running):
        sys.exit("nvcc failed")


def function(file, name, shared):
    if file not in loaded:
        if not os.path.exists(f"{built}/{file}.cubin"):
            build([file])
        loaded[file] = ctypes.c_void_p()
        call("cuModuleLoadData", ctypes.byref(loaded[file]), open(f"{built}/{file}.cubin", "rb").read())
    if name not in loaded:
        loaded[name] = ctypes.c_void_p()
        call("cuModuleGetFunction", ctypes.byref(loaded[name]), loaded[file], name.encode())
        call("cuFuncSetAttribute", loaded[name], 8, shared)
    return loaded[name]


class Attention:
    """One problem on the card, launched as cuda.ts does."""

    def __init__(self, way, q, k, v, dO, mask, heads, kvHeads, headDim, window=0, cap=0.0, valueDim=None, sinks=None, size=None, cut=True):
        self.way, self.heads, self.kvHeads = way, heads, kvHeads
        valueDim = valueDim or headDim
        size = size or next(name for name, (d, v, capped, _) in SIZES.items() if headDim <= d and valueDim <= v and (capped or not cap))
        self.d, self.v, _, self.shared = SIZES[size]
        self.file, self.suffix = f"{way}{size}" + "-capped" * (cap > 0), f"{way}_{size}" + "_capped" * (cap > 0)
        (T, S), f32, i32 = (q.shape[0], k.shape[0]), torch.float32, torch.int32
        self.queryBlocks, self.keyBlocks = -(-T // BLOCK), -(-S // BLOCK)
        nan = lambda *shape, dtype=torch.bfloat16: torch.full(shape, float("nan"), dtype=dtype, device="cuda")
        junk = lambda n: torch.full((n,), 0x55555555, dtype=i32, device="cuda")
        self.out = dict(o=nan(T, heads * valueDim), lse=nan(T, heads, dtype=f32), dQ=nan(T, heads * headDim), dK=nan(S, kvHeads * headDim), dV=nan(S, kvHeads * valueDim))
        blocks = self.keyBlocks
        before = dict(tiles=junk(blocks * 16), masks=junk(blocks * 512), queryOrder=junk(blocks), keyOrder=junk(blocks), queues=junk(3), maps=junk(128))
        steps = blocks * blocks * 2 * (heads // kvHeads)
        self.slots = min(MULTIPROCESSORS // kvHeads, steps // LEAST_STEPS) if way == "hopper" and cut else 0
        before |= dict(keyPieces=junk((blocks + self.slots) * 4), arrivals=junk(max(1, self.slots * kvHeads * 16)), parts=nan(max(1, self.slots * kvHeads * BLOCK * (self.d + self.v)), dtype=f32))
        before |= {n: nan(heads * blocks * BLOCK, dtype=f32) for n in ("delta", "lse2")}
        self.tensors = dict(q=q, k=k, v=v, dO=dO, **self.out, **before, visibleFrom=mask[0], until=mask[1], depth=mask[2])
        if sinks is not None:
            self.tensors["sinks"] = sinks
        fields = {n: t.data_ptr() for n, t in self.tensors.items()} | {f"{n}Stride": self.tensors[n].stride(0) for n in "q k v dO o dQ dK dV lse".split()}
        fields |= dict(queries=T, keys=S, slots=self.slots, sinksInBf16=sinks is not None and sinks.dtype == torch.bfloat16, heads=heads, kvHeads=kvHeads, headDim=headDim, valueDim=valueDim, scale=headDim**-0.5, window=window, softCap=cap)
        self.problem = Problem(**fields)

    def launch(self, file, name, grid, threads, shared=0):
        args = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.pointer(self.problem), ctypes.c_void_p))
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        call("cuLaunchKernel", function(file, name, shared), *grid, 1, threads, 1, 1, shared, stream, args, None)

    def kernel(self, which, blocks, heads):
        name = ["attention_", "attention_query_grad_", "attention_key_grad_"][which] + self.suffix
        large, row, both = self.d > 128, (self.d + 8) * 2, (self.d + self.v + 16) * 2
        if self.way == "hopper":
            items = heads * (blocks + (self.slots if which == 2 else 0)) * (2 if which == 2 and large else 1)
            self.launch(self.file, name, (min(items, MULTIPROCESSORS), 1), 384, self.shared[which])
        else:
            rows = 64 if large or which else 128
            shared = rows * (both if which else row) + (2 * 16 * both if large else 2 * 32 * both + 1024)
            self.launch(self.file, name, (heads, blocks * BLOCK // rows), 256 if which == 2 and large else 128, shared)

    def prepare(self, orders):
        self.launch("prepare", "attention_prepare", (orders + 1, 1), 1024)

    def forward(self):
        self.prepare(1)
        self.kernel(0, self.queryBlocks, self.heads)

    def statistics(self):
        self.launch("prepare", "attention_statistics", (self.queryBlocks * BLOCK // 16, self.heads), 256)

    def backward(self):
        self.prepare(2)
        self.statistics()
        self.kernel(2, self.keyBlocks, self.kvHeads)
        self.kernel(1, self.queryBlocks, self.heads)


def rows(lengths):
    """visibleFrom, visibleUntil and depth of rows end to end"""
    return trie([(n, []) for n in lengths])


def trie(branches):
    mask = [], [], []

    def lay(tokens, children, depth):
        begin = len(mask[0])
        for i in range(tokens):
            for column, value in zip(mask, (begin + i, 0, depth + i)):
                column.append(value)
        for child in children:
            lay(*child, depth + tokens)
        mask[1][begin : begin + tokens] = [len(mask[0])] * tokens

    for branch in branches:
        lay(*branch, 0)
    return mask


def on_card(mask):
    return [torch.tensor(column, dtype=torch.int32, device="cuda") for column in mask]


BRANCHES = trie([(150, [(90, [(10, []), (70, [(33, []), (41, [])])]), (128, []), (5, [])]), (64, []), (200, [(1, []), (300, [])])])
SHARED = trie([(70, [(300, []), (120, []), (250, []), (90, []), (200, []), (170, [])])])
ROWS = rows([150, 45, 200, 1, 64, 1, 1])


def cases():
    for d in (64, 128, 192, 256):
        yield f"{d}, rows", dict(heads=4, kv=2, d=d, mask=ROWS)
        yield f"{d}, one row", dict(heads=2, kv=1, d=d, mask=rows([701]))
        yield f"{d}, a trie", dict(heads=3, kv=3, d=d, mask=BRANCHES)
        yield f"{d}, one beginning", dict(heads=8, kv=1, d=d, mask=SHARED)
        yield f"{d}, one beginning, a window, a cap", dict(heads=8, kv=2, d=d, mask=SHARED, window=90, cap=1.5)
        yield f"{d}, a window", dict(heads=2, kv=2, d=d, mask=rows([700, 333]), window=100)
        yield f"{d}, a trie, a window, a cap", dict(heads=4, kv=2, d=d, mask=BRANCHES, window=120, cap=1.5)
        yield f"{d}, a cap", dict(heads=4, kv=1, d=d, mask=rows([300, 100, 257]), cap=0.7)
        yield f"{d}, columns of one product", dict(heads=3, kv=1, d=d, mask=ROWS, fused=True)
    for d, v in (192, 128), (96, 64), (160, 40), (64, 128), (128, 192):
        yield f"{d} and {v}, rows", dict(heads=4, kv=2, d=d, v=v, mask=ROWS)
        yield f"{d} and {v}, one beginning", dict(heads=4, kv=1, d=d, v=v, mask=SHARED)
        yield f"{d} and {v}, a trie, a window", dict(heads=3, kv=3, d=d, v=v, mask=BRANCHES, window=120)
        yield f"{d} and {v}, columns of one product", dict(heads=2, kv=2, d=d, v=v, mask=BRANCHES, fused=True)
    yield "192 and 128, a cap", dict(heads=2, kv=1, d=192, v=128, mask=rows([300, 257]), cap=0.7)
    for d, v in (64, 64), (128, 128), (192, 128), (256, 256):
        yield f"{d} and {v}, sinks", dict(heads=8, kv=2, d=d, v=v, mask=BRANCHES, sinks=torch.float32)
        yield f"{d} and {v}, sinks in bf16, a window", dict(heads=8, kv=1, d=d, v=v, mask=rows([700, 33]), window=100, sinks=torch.bfloat16)
    yield "40, columns of one product", dict(heads=3, kv=1, d=40, mask=ROWS, fused=True)
    yield "136, a cap", dict(heads=2, kv=1, d=136, mask=ROWS, cap=1.0)
    sees_back = rows([200, 150])
    sees_back[0][20:190] = [20] * 170
    yield "80, a bidirectional span", dict(heads=2, kv=1, d=80, mask=sees_back)
    unseen = rows([100, 100, 20])
    for j in (0, 5, 100, 219):
        unseen[1][j] = unseen[0][j]
    yield "64, tokens that see nothing", dict(heads=2, kv=2, d=64, mask=unseen)
    yield "64, tokens that see nothing, sinks", dict(heads=2, kv=2, d=64, mask=unseen, sinks=torch.float32)
    yield "8, five tokens", dict(heads=2, kv=2, d=8, mask=rows([3, 2]))


def check(way):
    good = True
    for name, c in cases():
        h, g, d, window, cap = c["heads"], c["kv"], c["d"], c.get("window", 0), c.get("cap", 0.0)
        e = c.get("v", d)
        T, mask = len(c["mask"][0]), on_card(c["mask"])
        torch.manual_seed(1)
        wide = torch.randn(T, (h + g) * d + g * e + 8, device="cuda").bfloat16()
        parts = [wide[:, : h * d], wide[:, h * d : (h + g) * d], wide[:, (h + g) * d : (h + g) * d + g * e]]
        q, k, v = parts if c.get("fused") else [x.contiguous() for x in parts]
        dO = torch.randn(T, h * e, device="cuda").bfloat16()
        sinks = torch.linspace(-3, 6, h, device="cuda").to(c["sinks"]) if "sinks" in c else None
        # the definition, in f64
        i = torch.arange(T, device="cuda")[:, None]
        sees = (mask[0][None] <= i) & (i < mask[1][None])
        if window:
            sees &= mask[2][:, None] - mask[2][None] < window
        inputs = [x.double().requires_grad_() for x in (q, k, v)]
        Q, K, V = (x.view(x.shape[0], -1, size).transpose(0, 1) for x, size in zip(inputs, (d, d, e)))
        K, V = (x.repeat_interleave(h // g, 0) for x in (K, V))
        s = Q @ K.transpose(1, 2) * d**-0.5
        s = (cap * torch.tanh(s / cap) if cap else s).masked_fill(~sees, -torch.inf)
        every = s if sinks is None else torch.cat([s, sinks.double()[:, None, None].expand(h, T, 1)], 2)
        lse = torch.logsumexp(every, 2)
        weights = torch.where(sees, torch.exp(s - torch.where(lse > -torch.inf, lse, 0.0)[..., None]), 0.0)
        o = (weights @ V).transpose(0, 1).reshape(T, h * e)
        right = dict(o=o, lse=lse.T) | dict(zip(("dQ", "dK", "dV"), torch.autograd.grad(o, inputs, dO.double())))
        a = Attention(way, q, k, v, dO, mask, h, g, d, window, cap, e, sinks)
        seen = []
        for _ in range(2):
            for t in a.out.values():
                t.fill_(float("nan"))
            a.forward()
            a.backward()
            seen.append({n: t.clone() for n, t in a.out.items()})
        same = all(torch.equal(seen[0][n].view(torch.uint8), seen[1][n].view(torch.uint8)) for n in a.out)
        # a query that sees nothing has lse -inf
        finite = lambda x: x.double().nan_to_num(1e30, 1e9, -1e9)
        distance = lambda x, y: float((finite(x) - finite(y)).norm() / y.nan_to_num(0, 0, 0).norm())
        errors = {n: distance(seen[0][n], r) for n, r in right.items()}
        # lse is f32; p, ds and what is stored are rounded to bf16, 2⁻⁹ on average each
        ok = same and all(far < (1e-5 if n == "lse" else 8e-3) for n, far in errors.items())
        good &= ok
        print("ok  " if ok else "BAD ", f"{way} {name}: ", ", ".join(f"{n} {far:.1e}" for n, far in errors.items()), "" if same else ", OTHER BITS", sep="", flush=True)
    return good


def median(run, calls, repeats=7):
    """ms of one call"""
    run(), torch.cuda.synchronize()
    times = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(calls):
            run()
        end.record(), torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / calls)
    return sorted(times)[repeats // 2]


def replayed(run, calls):
    run(), torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            run()
    return median(graph.replay, 1) / calls


def random(tokens, h, g, d, e):
    torch.manual_seed(0)
    return [torch.randn(tokens, cols, device="cuda").bfloat16() for cols in (h * d, g * d, g * e, h * e)]


def time():
    sizes = [(2, 2048, 32, 8, 128), (1, 32768, 32, 8, 128), (2, 2048, 32, 8, 64), (1, 32768, 32, 8, 64), (2, 2048, 16, 8, 256), (1, 8192, 16, 8, 256), (2, 2048, 16, 8, 192)]
    for B, T, h, g, d, e in [(*size, size[-1]) for size in sizes] + [(2, 2048, 16, 16, 192, 128), (1, 8192, 128, 128, 192, 128)]:
        q, k, v, dO = random(B * T, h, g, d, e)
        calls, what = 10 if T < 8192 else 3, f"{B} x {T}, {h} / {g} heads of {d}" + f" and {e}" * (e != d)
        pairs = h * B * T * (T + 1) // 2
        flops, flopsBack = 2 * (d + e) * pairs, 2 * (3 * d + 2 * e) * pairs
        best = [float("inf")] * 2
        # PyTorch's FlashAttention takes heads of one size
        for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION)[: 2 if e == d else 1]:
            # key heads as they are, and a copy for each query head, whichever is the faster
            both = []
            for copies in (1, h // g):
                Q, K, V = (x.view(B, T, -1, size).transpose(1, 2) for x, size in ((q, d), (k, d), (v, e)))
                Q, K, V = (x.detach().requires_grad_() for x in (Q, *(x.repeat_interleave(copies, 1).transpose(1, 2).contiguous().transpose(1, 2) for x in (K, V))))
                run = lambda: torch.nn.functional.scaled_dot_product_attention(Q, K, V, is_causal=True, enable_gqa=copies < h // g)
                with sdpa_kernel(backend):
                    with torch.no_grad():
                        forward = median(run, calls)
                    o = run()
                    both.append((forward, median(lambda: torch.autograd.grad(o, (Q, K, V), dO.view(B, T, h, e).transpose(1, 2), retain_graph=True), calls)))
            f, b = (min(x) for x in zip(*both))
            if backend == SDPBackend.CUDNN_ATTENTION:
                best = [f, b]
            print(f"{what}: {backend.name.split('_')[0].lower():7} forward {f:.3f} ms ({flops / f / 1e9:.0f} TFLOP/s), backward {b:.3f} ms ({flopsBack / b / 1e9:.0f})", flush=True)
        # where v is smaller, the kernels that take heads of one size too, which fill it up with zeros
        for way, size in [("hopper", None), ("tensor", None)] + ([("hopper", str(d))] if e < d else []):
            a = Attention(way, q, k, v, dO, on_card(rows([T] * B)), h, g, d, valueDim=e, size=size)
            f, b = replayed(a.forward, calls), replayed(a.backward, calls)
            share = f"{best[0] / f:.0%} and {best[1] / b:.0%} of cuDNN's speed"
            print(f"{what}: {way:7}{' filled up' if size else ''} forward {f:.3f} ms ({flops / f / 1e9:.0f} TFLOP/s), backward {b:.3f} ms ({flopsBack / b / 1e9:.0f}); {share}", flush=True)


def tries():
    h, g, d = 32, 8, 128
    sets = {
        "8 x (1024 + 2 x 512)": (rows([1536] * 16), trie([(1024, [(512, [])] * 2)] * 8)),
        "16 x (300 + 2 x 150)": (rows([450] * 32), trie([(300, [(150, [])] * 2)] * 16)),
        "4 x (1500 + 8 x 200)": (rows([1700] * 32), trie([(1500, [(200, [])] * 8)] * 4)),
        "32 x 256": (rows([256] * 32),),
        "80 x 100": (rows([100] * 80),),
    }
    for name, masks in sets.items():
        for mask, how in zip(masks, ("apart", "shared")):
            tokens, pairs = len(mask[0]), sum(until - first for first, until, _ in zip(*mask))
            for way in ("hopper", "tensor"):
                a = Attention(way, *random(tokens, h, g, d, d), on_card(mask), h, g, d)
                f, b = replayed(a.forward, 10), replayed(a.backward, 10)
                print(f"{name}, {how}: {tokens} tokens, {pairs / 1e6:.2f} M pairs, {way}: forward {f:.3f} ms, {f / pairs * 1e9:.1f} ps a pair; backward {b:.3f} ms, {b / pairs * 1e9:.1f}", flush=True)


def short():
    lengths = [238, 167, 301, 122, 189, 214, 97, 276]
    sets = {
        "8 rows": rows(lengths),
        "8 rows that begin alike": trie([(57, [(n - 57, []) for n in lengths])]),
        "8 rows behind 150 tokens": trie([(207, [(n - 57, []) for n in lengths])]),
        "4 rows": rows(lengths[:4]),
        "a row of 2048": rows([2048]),
        "a row of 4096": rows([4096]),
        "2 rows of 2048": rows([2048] * 2),
    }
    for h, g, d in (32, 8, 128), (32, 8, 64):
        for name, mask in sets.items():
            tokens, of = len(mask[0]), on_card(mask)
            for cut in False, True:
                a = Attention("hopper", *random(tokens, h, g, d, d), of, h, g, d, cut=cut)
                first = replayed(lambda: a.prepare(2), 10)
                statistics = replayed(lambda: (a.prepare(2), a.statistics()), 10)
                a.forward(), a.backward()
                keys = replayed(lambda: (a.prepare(2), a.kernel(2, a.keyBlocks, a.kvHeads)), 10)
                queries = replayed(lambda: (a.prepare(2), a.kernel(1, a.queryBlocks, a.heads)), 10)
                f, b = replayed(a.forward, 10), replayed(a.backward, 10)
                pieces = int(a.tensors["queues"][2])
                parts = ", ".join(f"{what} {(ms - first) * 1e3:.1f}" for what, ms in (("statistics", statistics), ("keys", keys), ("queries", queries)))
                print(f"{name}, {tokens} tokens, {h} / {g} heads of {d}, {'cut  ' if cut else 'whole'}: {pieces} pieces of {a.keyBlocks} blocks; forward {f * 1e3:.1f} us, backward {b * 1e3:.1f}: prepare {first * 1e3:.1f}, {parts}", flush=True)


if __name__ == "__main__":
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, bf16, {' '.join(['python bench/attention.py', *sys.argv[1:]])}")
    build(["prepare"] + [f"{way}{size}{capped}" for way in ("hopper", "tensor") for size, (*_, caps, _) in SIZES.items() for capped in ("", "-capped") if caps or not capped])
    if "check" in sys.argv and not all([check("hopper"), check("tensor")]):
        sys.exit(1)
    if "time" in sys.argv:
        time()
    if "tries" in sys.argv:
        tries()
    if "short" in sys.argv:
        short()
