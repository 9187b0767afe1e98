"""How long 4 GiB of host memory take to be pinned, and how fast a card copies there: as cuMemHostAlloc has it, and mapped, touched by threads, registered.

    python3 bench/pinned.py      needs torch with CUDA on Linux
"""
import ctypes
import threading
import time

import torch

BYTES, PAGE, PIECE = 4 << 30, 2 << 20, 1 << 28
MAPPED_AND_PORTABLE, HUGE = 3, 14

torch.zeros(1).cuda()
cuda, libc = ctypes.CDLL("libcuda.so.1"), ctypes.CDLL("libc.so.6")
word, size = ctypes.c_void_p, ctypes.c_size_t
libc.mmap.restype, libc.mmap.argtypes = word, [word, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.madvise.argtypes, libc.munmap.argtypes, libc.memset.argtypes = [word, size, ctypes.c_int], [word, size], [word, ctypes.c_int, size]
cuda.cuMemHostRegister_v2.argtypes, cuda.cuMemHostUnregister.argtypes = [word, size, ctypes.c_uint], [word]
cuda.cuMemcpyAsync.argtypes = [word, word, size, word]


def seconds(work):
    began = time.time()
    work()
    return time.time() - began


def touch(at, threads):
    share = BYTES // max(1, threads)
    running = [threading.Thread(target=libc.memset, args=(at + i * share, 0, share)) for i in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def copied(at):
    """bytes/s from the card"""
    source = torch.empty(PIECE, dtype=torch.uint8, device="cuda")
    torch.cuda.synchronize()
    began = time.time()
    for i in range(4):
        cuda.cuMemcpyAsync(at + i * PIECE, source.data_ptr(), PIECE, None)
    torch.cuda.synchronize()
    return 4 * PIECE / (time.time() - began)


plain = word()
print(f"cuMemHostAlloc {seconds(lambda: cuda.cuMemHostAlloc(ctypes.byref(plain), size(BYTES), MAPPED_AND_PORTABLE)):.3f} s")
print(f"cuMemFreeHost {seconds(lambda: cuda.cuMemFreeHost(plain)):.3f} s")
for threads in (0, 1, 4, 8, 16):
    for huge in (False, True):
        mapped = libc.mmap(None, BYTES + PAGE, 3, 0x22, -1, 0)
        at = (mapped + PAGE - 1) // PAGE * PAGE
        if huge:
            libc.madvise(at, BYTES, HUGE)
        touched = seconds(lambda: touch(at, threads))
        registered = seconds(lambda: cuda.cuMemHostRegister_v2(at, BYTES, MAPPED_AND_PORTABLE))
        rate = copied(at) / 1e9
        freed = seconds(lambda: (cuda.cuMemHostUnregister(at), libc.munmap(mapped, BYTES + PAGE)))
        pages = "huge" if huge else "small"
        print(f"{pages} pages, {threads} threads: touched {touched:.3f} s, registered {registered:.3f} s, {rate:.1f} GB/s, freed {freed:.3f} s")
