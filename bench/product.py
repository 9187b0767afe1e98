"""The product of several parts on Hopper (src/ops/product/large.cu) by itself: held against f64, then timed beside PyTorch's products (cuBLASLt).

    python3 bench/product.py [OUT.json] [TOKENS …]      needs a Hopper card, nvcc and PyTorch

Shapes are Llama-3.1-8B's and 3.2-1B's, by default with 4096 tokens and with 1664, about what a step of eight Alpaca rows has. A time is the median
over rounds, the variants in turn, of a captured graph of 20 launches.
"""
import ctypes
import itertools
import json
import os
import struct
import subprocess
import sys
import tempfile

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
torch.manual_seed(1)
torch.zeros(1, device='cuda')
driver = ctypes.CDLL('libcuda.so.1')
PARTS = 8
BLOCKS = 132


def check(status, what):
    if status != 0:
        name = ctypes.c_char_p()
        driver.cuGetErrorName(status, ctypes.byref(name))
        raise RuntimeError(f'{what}: {name.value}')


def build():
    cubin = os.path.join(tempfile.mkdtemp(), 'large.cubin')
    source = os.path.join(HERE, '../src/ops/product/large.cu')
    subprocess.run(['nvcc', '-cubin', '-std=c++17', '-gencode=arch=compute_90a,code=sm_90a', '-o', cubin, source], check=True)
    module = ctypes.c_void_p()
    check(driver.cuModuleLoadData(ctypes.byref(module), open(cubin, 'rb').read()), 'cuModuleLoadData')
    return module


MODULE = build()


def aligned(data):
    raw = (ctypes.c_ubyte * (len(data) + 64))()
    at = (ctypes.addressof(raw) + 63) & ~63
    ctypes.memmove(at, data, len(data))
    return raw, at


def tiles(t, high):
    """CUtensorMap of a bf16 matrix: boxes of `high` rows of 64 columns, 128-byte swizzle"""
    raw, at = aligned(bytes(128))
    sizes = (ctypes.c_uint64 * 2)(t.shape[1], t.shape[0])
    strides = (ctypes.c_uint64 * 1)(t.stride(0) * 2)
    box = (ctypes.c_uint32 * 2)(64, high)
    steps = (ctypes.c_uint32 * 2)(1, 1)
    status = driver.cuTensorMapEncodeTiled(ctypes.c_void_p(at), 9, 2, ctypes.c_void_p(t.data_ptr()), sizes, strides, box, steps, 0, 3, 2, 0)
    check(status, f'map of {tuple(t.shape)}, stride {t.stride(0)}')
    return ctypes.string_at(at, 128)


def large(parts, y, trans=False, alpha=1.0, addend=None, bias=None, width=256):
    """a function that launches y = alpha · Σ x·wᵀ + bias + addend"""
    m, n = y.shape
    none = bytes(128)
    rest = [none] * (PARTS - len(parts))
    maps = [tiles(x, 128) for x, _ in parts] + rest + [tiles(w, 64 if trans else width // 2) for _, w in parts] + rest
    maps += [tiles(y, 64), none if addend is None else tiles(addend, 128)]
    sizes = struct.pack(f'{3 + PARTS}i', m, n, len(parts), *[x.shape[1] for x, _ in parts], *[0] * (PARTS - len(parts)))
    types = {torch.bfloat16: 0, torch.float32: 1, torch.float16: 2}
    bias_at, bias_type = (0, 0) if bias is None else (bias.data_ptr(), types[bias.dtype])
    last = struct.pack('fiiiQ', alpha, addend is not None, bias_type, 0, bias_at)
    kept = [aligned(b''.join(maps)), aligned(sizes), aligned(last)]
    pointers = (ctypes.c_void_p * 3)(*[at for _, at in kept])
    shared = (6 if width == 128 else 4) * (16384 + width * 128) + 32768 + 1024 + 128
    f = ctypes.c_void_p()
    name = f'product_large_{width}{"_trans" if trans else ""}'
    check(driver.cuModuleGetFunction(ctypes.byref(f), MODULE, name.encode()), name)
    check(driver.cuFuncSetAttribute(f, 8, shared), 'shared memory')
    grid = min(BLOCKS, 2 * -(-m // 256) * -(-n // width))

    def launch():
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        check(driver.cuLaunchKernel(f, grid, 1, 1, 384, 1, 1, shared, stream, pointers, None), name)

    launch.kept = kept
    return launch


def rand(*shape, scale=1.0, dtype=torch.bfloat16):
    return (torch.randn(*shape, device='cuda') * scale).to(dtype)


def verify():
    """every tile, layout, tail, addend and bias against f64; what lies beside y stays; the same bits twice"""
    worst = 0
    cases = [
        (256, 256, [64], {}),
        (300, 520, [128, 16], {}),
        (1000, 776, [200, 24, 72, 8], {'addend': True}),
        (2048, 576, [576, 16], {'bias': torch.float32}),
        (129, 8, [512], {'alpha': 0.25, 'bias': torch.float16}),
        (4096, 1024, [4096, 16], {'addend': True, 'bias': torch.bfloat16, 'alpha': 0.5}),
        (17, 40, [8] * 8, {'addend': True}),
        (5000, 3000, [264, 8], {}),
        (1664, 4096, [2048, 16], {}),
        (1700, 2056, [1000, 328, 24], {'addend': True, 'bias': torch.float32}),
    ]
    for width, trans in itertools.product((256, 192, 128), (False, True)):
        for m, n, ks, o in cases:
            xs = [rand(m, k) for k in ks]
            ws = [rand(*((k, n) if trans else (n, k)), scale=k**-0.5) for k in ks]
            wide = torch.full((m, n + 64), float('nan'), device='cuda', dtype=torch.bfloat16)
            y = wide[:, 16 : 16 + n]
            addend = rand(m, n) if 'addend' in o else None
            bias = rand(1, n, dtype=o['bias']) if 'bias' in o else None
            right = o.get('alpha', 1) * sum(x.double() @ (w.double() if trans else w.double().T) for x, w in zip(xs, ws))
            right = right + sum(t.double() for t in (addend, bias) if t is not None)
            launch = large(list(zip(xs, ws)), y, trans, o.get('alpha', 1), addend, bias, width)
            launch()
            torch.cuda.synchronize()
            distance = ((y.double() - right).norm() / right.norm()).item()
            once = y.clone()
            wide.fill_(float('nan'))
            launch()
            torch.cuda.synchronize()
            beside = bool(wide[:, :16].isnan().all() and wide[:, 16 + n :].isnan().all())
            # y is rounded once, to 8 bits: 2⁻⁹ at most, about 1.7e-3 in the norm
            if not (distance < 2.5e-3 and torch.equal(once, y) and beside):
                sys.exit(f'wrong: {width} {trans} {m} {n} {ks} {o}: {distance}, same bits {torch.equal(once, y)}, beside {beside}')
            worst = max(worst, distance)
    return worst


def timed(variants, rounds=7, repeats=20):
    """median ms of one run of each"""
    stream = torch.cuda.Stream()
    graphs = []
    for run in variants:
        with torch.cuda.stream(stream):
            run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(repeats):
                run()
        graph.replay()
        graphs.append(graph)
    times = [[] for _ in variants]
    for _ in range(rounds):
        for graph, list_ in zip(graphs, times):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            list_.append(start.elapsed_time(end) / repeats)
    return [sorted(list_)[rounds // 2] for list_ in times]


def main():
    print(torch.cuda.get_device_name(), f'worst distance {verify():.2e}', flush=True)
    rows = []
    shapes = [(4096, 4096), (1024, 4096), (14336, 4096), (4096, 14336), (4096, 28672), (2048, 2048), (8192, 2048), (2048, 8192), (2048, 16384)]
    print('tokens, w (N × K), with rank 16, ms: cuBLASLt, the large product alone and both | ours 256, 192 and 128 wide')
    for tokens, trans, (n, k) in itertools.product([int(t) for t in sys.argv[2:]] or [1664, 4096], (False, True), shapes):
        x, u, y = rand(tokens, k), rand(tokens, 16), torch.empty(tokens, n, device='cuda', dtype=torch.bfloat16)
        w, b = (rand(k, n, scale=k**-0.5), rand(16, n)) if trans else (rand(n, k, scale=k**-0.5), rand(n, 16))
        left, right = (w, b) if trans else (w.T, b.T)

        def plain():
            torch.mm(x, left, out=y)

        def twice():
            torch.mm(x, left, out=y)
            y.addmm_(u, right)

        ours = [large([(x, w), (u, b)], y, trans, width=width) for width in (256, 192, 128)]
        ms = timed([plain, twice, *ours])
        speed = 2 * tokens * n * k / min(ms[2:]) / 1e9
        print(f'{tokens} {"(K × N) " if trans else "        "}{n} × {k}:  {ms[0]:.4f} {ms[1]:.4f} | {ms[2]:.4f} {ms[3]:.4f} {ms[4]:.4f}   {speed:.1f} TFLOP/s', flush=True)
        rows.append({'tokens': tokens, 'trans': trans, 'n': n, 'k': k, 'ms': ms})
    if len(sys.argv) > 1:
        json.dump({'card': torch.cuda.get_device_name(), 'rows': rows}, open(sys.argv[1], 'w'), indent=1)


main()
