// Attention on Hopper (FlashAttention-3, Shah 2024): in a block, one warp has tiles copied into rings of shared memory, two warpgroups of
// 64 rows each multiply what has come. Weights go from one product to the next in registers. Blocks take items of work, a head and a block
// of rows, from a queue, the longest first; who takes which changes no bit: no value is added by more than one block.
#pragma once
#include "copies.cuh"
#include "score.cuh"
#include "wgmma.cuh"

constexpr int kGroups = 2;
constexpr int kHopperThreads = (kGroups + 1) * 128;
constexpr int kCopyRegisters = 24, kProductRegisters = 240;  // a thread's

// Tiles on their way: full when they have come, empty when every warp is done with them; what the copying warp says of each.
template <int STAGES> struct Tiles {
  Barrier full[STAGES], empty[STAGES];
  int label[STAGES], head[STAGES];
  __device__ void init() {
    for (int s = 0; s < STAGES; s++) initBarrier(full + s, 1), initBarrier(empty + s, kGroups * 4);
  }
};
__device__ __forceinline__ void release(Barrier* empty) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(empty);
}

// The next item of a queue, the same in every lane. Taken no sooner than it is needed: else one block would sit on two long ones.
__device__ __forceinline__ int nextItem(int* queue) { return __shfl_sync(0xffffffffu, threadIdx.x % 32 ? 0 : atomicAdd(queue, 1), 0); }

// Of an item: the number of its block, or kEnd. Of a tile: its number, whether it is the item's last, whether all see all.
constexpr int kEnd = -1;
__device__ __forceinline__ int tileLabel(int tile, bool last, bool all) { return 4 * tile + 2 * last + all; }
__device__ __forceinline__ int tileOf(int label) { return label / 4; }
__device__ __forceinline__ bool isLast(int label) { return label & 2; }
__device__ __forceinline__ bool isWhole(int label) { return label & 1; }
// an item's label: 2 · block + whether it has a tile
__device__ __forceinline__ int blockOf(int label) { return label / 2; }
__device__ __forceinline__ bool hasTiles(int label) { return label & 1; }

// x (64 queries × N keys): what a query doesn't see becomes `unseen`
template <int N>
__device__ __forceinline__ void hide(float (&x)[N / 2], float unseen, const Problem& p, const int4* masks, const int (&query)[2], const int (&queryDepth)[2]) {
#pragma unroll
  for (int i = 0; i < N / 4; i++) {
    int4 key = masks[i / 2 * 8 + threadColumn() + i % 2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      if (!sees(p, query[h], queryDepth[h], {key.x, key.y, key.z})) x[i / 2 * 4 + 2 * h + i % 2] = unseen;
    }
  }
}

template <int D>
__device__ __forceinline__ void storeRows(void* to, int stride, int first, int rows, int headDim, int column, const Rows<D>& acc, const float (&factor)[2]) {
  bf16* out = static_cast<bf16*>(to) + column;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    int row = first + threadRow() + 8 * h;
    if (row >= rows) continue;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      int c = n * 8 + threadColumn(), i = n * 8 % Rows<D>::PIECE / 2 + 2 * h;
      const float(&piece)[Rows<D>::PIECE / 2] = acc.piece[n * 8 / Rows<D>::PIECE];
      if (c < headDim) *reinterpret_cast<unsigned*>(out + static_cast<long long>(row) * stride + c) = pack(piece[i] * factor[h], piece[i + 1] * factor[h]);
    }
  }
}
