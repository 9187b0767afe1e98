"""How fast llama.cpp reads a prompt and goes on from it.

    llama_decode.py LIBRARIES FILE THREADS NEW IDS

LIBRARIES: folder of libggml* and libllama* shared libraries; IDS: JSON of the prompt's token ids. Greedy, NEW tokens, whatever ends a text. Prints
seconds that the prompt took, milliseconds of each token behind it, and the tokens. Everything is done once before it is timed.
"""
import ctypes
import json
import sys
import time
from ctypes import c_int32, c_void_p

import numpy as np

from llama import Batch, Model, load


def main():
    libraries, path, threads, new, ids = sys.argv[1:]
    llama = load(libraries)
    model = Model(llama, path)
    params = llama.llama_context_default_params()
    ctypes.memmove(ctypes.byref(params), ctypes.byref(ctypes.c_uint32(1024)), 4)  # n_ctx, its first field
    context = llama.llama_init_from_model(model.handle, params)
    assert context
    llama.llama_set_n_threads(context, int(threads), int(threads))

    def next_of(ids):
        tokens = (c_int32 * len(ids))(*ids)
        wanted = (ctypes.c_int8 * len(ids))(*[0] * (len(ids) - 1), 1)
        batch = Batch(len(ids), ctypes.cast(tokens, c_void_p), None, None, None, None, ctypes.cast(wanted, c_void_p))
        assert llama.llama_decode(context, batch) == 0
        return int(np.ctypeslib.as_array(llama.llama_get_logits(context), (model.tokens,)).argmax())

    for _ in range(2):
        model.forget(context)
        began = time.perf_counter()
        token = next_of(json.loads(ids))
        prompt = time.perf_counter() - began
        answer, times = [token], []
        for _ in range(int(new) - 1):
            began = time.perf_counter()
            token = next_of([token])
            times.append((time.perf_counter() - began) * 1e3)
            answer.append(token)
    print(json.dumps({"prompt": prompt, "times": times, "answer": answer}), flush=True)


main()
