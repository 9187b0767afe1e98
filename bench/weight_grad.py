"""Gradients of low-rank factors through cuBLASLt: dW (N × K, f32) += dYᵀ · x, by each algorithm that its heuristic names, the first first.

    python3 bench/weight_grad.py [TOKENS …]      needs a card, CUDA 13 and PyTorch

A time is the median of seven captured graphs of 24 launches, over buffers that no cache holds; beside it what reading the wider operand takes at
2.98 TB/s, an H100's speed of copying.
"""
import ctypes
import glob
import sys

import torch

torch.zeros(1, device='cuda')
lt = ctypes.CDLL(glob.glob('/usr/local/cuda/lib64/libcublasLt.so.13*')[0])
WORKSPACE = 32 << 20
RESULT = 96  # sizeof(cublasLtMatmulHeuristicResult_t)
COPY = 2.98e12
workspace = torch.empty(WORKSPACE, dtype=torch.uint8, device='cuda')


def new(name, *args):
    out = ctypes.c_uint64()
    status = getattr(lt, name)(ctypes.byref(out), *args)
    assert status == 0, (name, status)
    return out


def put(name, thing, key, value):
    status = getattr(lt, name)(thing, key, ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value)))
    assert status == 0, (name, key, status)


handle = new('cublasLtCreate')


def prepare(dY, x, dW, wanted=8):
    """as src/devices/cuda/matmul.ts asks (there with each address's own alignment): the descriptor, layouts and the algorithms"""
    desc = new('cublasLtMatmulDescCreate', 68, 0)  # CUBLAS_COMPUTE_32F, f32
    put('cublasLtMatmulDescSetAttribute', desc, 3, ctypes.c_int(0))
    put('cublasLtMatmulDescSetAttribute', desc, 4, ctypes.c_int(1))
    layout = lambda t, dtype: new('cublasLtMatrixLayoutCreate', dtype, ctypes.c_uint64(t.shape[1]), ctypes.c_uint64(t.shape[0]), ctypes.c_int64(t.stride(0)))
    a, b, c = layout(x, 14), layout(dY, 14), layout(dW, 0)
    preference = new('cublasLtMatmulPreferenceCreate')
    put('cublasLtMatmulPreferenceSetAttribute', preference, 1, ctypes.c_uint64(WORKSPACE))
    for operand in range(4):
        put('cublasLtMatmulPreferenceSetAttribute', preference, 5 + operand, ctypes.c_int(256))
    results, found = (ctypes.c_ubyte * (RESULT * wanted))(), ctypes.c_int()
    status = lt.cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, c, preference, wanted, results, ctypes.byref(found))
    assert status == 0, status
    algorithms = [ctypes.create_string_buffer(bytes(results[RESULT * i : RESULT * (i + 1)]), RESULT) for i in range(found.value)]
    return desc, a, b, c, algorithms


def run(prepared, algorithm, dY, x, dW):
    desc, a, b, c, _ = prepared
    one = ctypes.c_float(1)
    stream = ctypes.c_uint64(torch.cuda.current_stream().cuda_stream)
    at = lambda t: ctypes.c_uint64(t.data_ptr())
    operands = [ctypes.byref(one), at(x), a, at(dY), b, ctypes.byref(one), at(dW), c, at(dW), c]
    status = lt.cublasLtMatmul(handle, desc, *operands, algorithm, at(workspace), ctypes.c_size_t(WORKSPACE), stream)
    assert status == 0, status


def timed(runs, launches=24):
    """median µs of a launch"""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for go in runs:
            go()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        for i in range(launches):
            runs[i % len(runs)]()
    times = []
    for _ in range(7):
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        began.record()
        graph.replay()
        ended.record()
        torch.cuda.synchronize()
        times.append(began.elapsed_time(ended) / launches * 1e3)
    return sorted(times)[3]


SHAPES = [(14336, 16), (4096, 16), (1024, 16), (16, 14336), (48, 4096), (32, 4096), (8192, 16), (2048, 16), (512, 16), (48, 2048), (16, 8192)]
for tokens in [int(t) for t in sys.argv[1:]] or [4096, 1792]:
    for n, k in SHAPES:
        wide = max(n, k)
        copies = max(2, min(12, int(300e6 / (tokens * wide * 2))))
        draw = lambda cols: [torch.randn(tokens, cols, device='cuda').bfloat16() for _ in range(copies)]
        dYs, xs = draw(n), draw(k)
        dWs = [torch.zeros(n, k, device='cuda') for _ in range(copies)]
        prepared = prepare(dYs[0], xs[0], dWs[0])
        times = []
        for algorithm in prepared[4]:
            times.append(timed([lambda t=t, algorithm=algorithm: run(prepared, algorithm, *t) for t in zip(dYs, xs, dWs)]))
        limit = tokens * wide * 2 / COPY * 1e6
        print(f'{tokens} tokens, {n} × {k}: {limit:.1f} µs to read, by algorithm', *[f'{t:.1f}' for t in times], flush=True)
