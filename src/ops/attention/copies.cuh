// Hopper's asynchronous copies into shared memory and the barriers that tell of them (PTX ISA: mbarrier, cp.async.bulk, tensormap).
#pragma once
#include "mma.cuh"

#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1203
#error attention on Hopper needs NVRTC of CUDA 12.3 or later: install nvidia-cuda-nvrtc
#endif

using Barrier = unsigned long long;

__device__ __forceinline__ void initBarrier(Barrier* b, int arrivals) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(b)), "r"(arrivals) : "memory"); }
// after the barriers of a block are made, before its threads meet
__device__ __forceinline__ void publishBarriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ __forceinline__ void arrive(Barrier* b) { asm volatile("{.reg .b64 t; mbarrier.arrive.shared::cta.b64 t, [%0];}" ::"r"(sharedAddress(b)) : "memory"); }
// arrives; the phase ends when that many bytes have come too
__device__ __forceinline__ void arriveWith(Barrier* b, int bytes) {
  asm volatile("{.reg .b64 t; mbarrier.arrive.expect_tx.shared::cta.b64 t, [%0], %1;}" ::"r"(sharedAddress(b)), "r"(bytes) : "memory");
}
// until the phase of this parity has ended
__device__ __forceinline__ void await(Barrier* b, int parity) {
  unsigned done;
  do {
    asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(sharedAddress(b)), "r"(parity) : "memory");
  } while (!done);
}

// a ring of buffers: which one, and the parity of its phase
template <int STAGES> struct Ring {
  int stage = 0, parity = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == STAGES) stage = 0, parity ^= 1;
  }
};

constexpr int kBoxRows = 64, kBoxColumns = 64, kBoxBytes = kBoxRows * kBoxColumns * 2;

// 64 rows × 64 channels of a head, zeros outside of it
__device__ __forceinline__ void copyBox(void* to, const void* map, Barrier* b, int channel, int head, int row) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(sharedAddress(to)), "l"(map),
               "r"(sharedAddress(b)), "r"(channel), "r"(head), "r"(row)
               : "memory");
}
// ROWS × D as panels of 64 channels
template <int D, int ROWS> __device__ __forceinline__ void copyTile(unsigned char* to, const void* map, Barrier* b, int head, int row) {
#pragma unroll
  for (int c = 0; c < D / kBoxColumns; c++) {
#pragma unroll
    for (int r = 0; r < ROWS / kBoxRows; r++) copyBox(to + (c * (ROWS / kBoxRows) + r) * kBoxBytes, map, b, c * kBoxColumns, head, row + r * kBoxRows);
  }
}
// a multiple of 16 bytes
__device__ __forceinline__ void copyBytes(void* to, const void* from, int bytes, Barrier* b) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(sharedAddress(to)), "l"(from), "r"(bytes),
               "r"(sharedAddress(b))
               : "memory");
}

// A map of x (rows, heads · headDim) in boxes as above, made by a warp in `work` (128 bytes of shared memory) and put to `map`.
__device__ __forceinline__ void makeMap(void* map, unsigned* work, const void* x, int stride, int rows, int heads, int headDim) {
  int lane = threadIdx.x % 32;
  work[lane] = 0;
  __syncwarp();
  if (lane == 0) {
    // ptxas takes strides in bytes, up to CUDA 12.4 in units of 16
    constexpr int UNIT = __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1205 ? 16 : 1;
    unsigned at = sharedAddress(work);
    asm volatile("tensormap.replace.tile.global_address.shared::cta.b1024.b64 [%0], %1;" ::"r"(at), "l"(x) : "memory");
    asm volatile("tensormap.replace.tile.rank.shared::cta.b1024.b32 [%0], 2;" ::"r"(at) : "memory");
    asm volatile("tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%0], 0, %1;" ::"r"(at), "r"(kBoxColumns) : "memory");
    asm volatile("tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%0], 1, %1;" ::"r"(at), "r"(1) : "memory");
    asm volatile("tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [%0], 2, %1;" ::"r"(at), "r"(kBoxRows) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 0, %1;" ::"r"(at), "r"(headDim) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 1, %1;" ::"r"(at), "r"(heads) : "memory");
    asm volatile("tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [%0], 2, %1;" ::"r"(at), "r"(rows) : "memory");
    asm volatile("tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [%0], 0, %1;" ::"r"(at), "l"(headDim * 2ll / UNIT) : "memory");
    asm volatile("tensormap.replace.tile.global_stride.shared::cta.b1024.b64 [%0], 1, %1;" ::"r"(at), "l"(stride * 2ll / UNIT) : "memory");
    asm volatile("tensormap.replace.tile.element_stride.shared::cta.b1024.b32 [%0], 0, %1;" ::"r"(at), "r"(1) : "memory");
    asm volatile("tensormap.replace.tile.element_stride.shared::cta.b1024.b32 [%0], 1, %1;" ::"r"(at), "r"(1) : "memory");
    asm volatile("tensormap.replace.tile.element_stride.shared::cta.b1024.b32 [%0], 2, %1;" ::"r"(at), "r"(1) : "memory");
    asm volatile("tensormap.replace.tile.elemtype.shared::cta.b1024.b32 [%0], 0xa;" ::"r"(at) : "memory");           // bf16
    asm volatile("tensormap.replace.tile.interleave_layout.shared::cta.b1024.b32 [%0], 0;" ::"r"(at) : "memory");  // none
    asm volatile("tensormap.replace.tile.swizzle_mode.shared::cta.b1024.b32 [%0], 3;" ::"r"(at) : "memory");       // 128 bytes
    asm volatile("tensormap.replace.tile.fill_mode.shared::cta.b1024.b32 [%0], 0;" ::"r"(at) : "memory");          // zeros
  }
  __syncwarp();
  asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%0], [%1], 128;" ::"l"(map), "r"(sharedAddress(work)) : "memory");
}
// before the first use of a map that an earlier kernel made
__device__ __forceinline__ void acquireMap(const void* map) { asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory"); }
