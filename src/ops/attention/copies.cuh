// Copies of a head's rows into Hopper's shared memory, and the tensor maps that they go by, made on the card (PTX ISA: cp.async.bulk, tensormap).
#pragma once
#include "../cuda.cuh"
#include "../hopper.cuh"

#if __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ < 1203
#error attention on Hopper needs NVRTC of CUDA 12.3 or later: install nvidia-cuda-nvrtc
#endif

constexpr int kBoxRows = 64, kBoxColumns = 64, kBoxBytes = kBoxRows * kBoxColumns * 2;

// 64 rows × 64 channels of a head, zeros outside of it
__device__ __forceinline__ void copyBox(void* to, const Map& map, Barrier* b, int channel, int head, int row) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(sharedAddress(to)), "l"(&map),
               "r"(sharedAddress(b)), "r"(channel), "r"(head), "r"(row)
               : "memory");
}
// ROWS × D as panels of 64 channels
template <int D, int ROWS> __device__ __forceinline__ void copyRows(unsigned char* to, const Map& map, Barrier* b, int head, int row) {
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

// A map of x (rows, heads · headDim; v and dO have heads of another size) in boxes as above, made by a warp in `work` (128 bytes of shared memory) and put to `map`.
__device__ __forceinline__ void makeMap(Map& map, unsigned* work, const void* x, int stride, int rows, int heads, int headDim) {
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
  asm volatile("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned [%0], [%1], 128;" ::"l"(&map), "r"(sharedAddress(work)) : "memory");
}
// before the first use of a map that an earlier kernel made
__device__ __forceinline__ void acquireMap(const Map& map) { asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(&map) : "memory"); }
