// Attention on the tensor cores for bf16 (mma.sync), heads of up to D = 64, 128, 192 or 256 channels, of values up to V (multiples of 8; the
// rest is zeros).
// Warps of 16 rows each; tiles of the other side come through shared memory by asynchronous copies, one ahead of the arithmetic. No value is
// added by more than one block, so the bits depend on nothing but the inputs.
#pragma once
#include "../cuda.cuh"
#include "../mma.cuh"
#include "score.cuh"

// What registers and the 99 KB of shared memory of the smaller cards leave room for.
template <int D> struct Tensor {
  static constexpr bool LARGE = D > 128;
  static constexpr int STEP = LARGE ? 16 : 32;           // the other side's rows a turn
  static constexpr int FORWARD = LARGE ? 64 : 128;       // a block's own queries in forward
  static constexpr int ROWS = 64;                        // its own queries or keys in backward
  static constexpr int KEY_GRAD_THREADS = LARGE ? 256 : 128;  // dK and dV apart
  static constexpr bool WORDS = !LARGE;                  // what goes with each row comes through shared memory too
};

// the tile of `ROWS` that a block of the grid has, by the order of blocks of kBlock
template <int ROWS> __device__ __forceinline__ int ownTile(const int* order) {
  constexpr int PARTS = kBlock / ROWS;
  return order[blockIdx.y / PARTS] * PARTS + blockIdx.y % PARTS;
}

template <int D, int ROWS, int THREADS = 128>
__device__ __forceinline__ void copyRows(bf16* to, const void* x, int stride, int first, int rows, int headDim, int column) {
  constexpr int CHUNKS = D / 8;
  const bf16* from = static_cast<const bf16*>(x) + column;
#pragma unroll
  for (int i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
    int r = i / CHUNKS, c = i % CHUNKS * 8;
    bool inside = first + r < rows && c < headDim;
    copyAsync(to + r * (D + 8) + c, inside ? from + static_cast<long long>(first + r) * stride + c : from, inside);
  }
}

// The masks of keys [first, first + STEP), through shared memory or from where they lie.
template <int D> struct Masks {
  static constexpr int STEP = Tensor<D>::STEP;
  const Problem& p;
  int4* shared;  // two stages
  __device__ __forceinline__ void fetch(int first, int stage) const {
    if (Tensor<D>::WORDS && threadIdx.x < STEP) copyAsync(shared + stage * STEP + threadIdx.x, p.masks + first + threadIdx.x, true);
  }
  __device__ __forceinline__ Key at(int first, int stage, int i) const {
    int4 key = Tensor<D>::WORDS ? shared[stage * STEP + i] : p.masks[first + i];
    return {key.x, key.y, key.z};
  }
};

// rows `row` and `row` + 8 of a warp's 16 × D accumulator
template <int D>
__device__ __forceinline__ void storeRows(void* to, int stride, int first, int rows, int headDim, int column, const float (&acc)[D / 8][4], const float (&factor)[2]) {
  bf16* out = static_cast<bf16*>(to) + column;
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int row = first + lane / 4 + half * 8;
    if (row >= rows) continue;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      int c = n * 8 + lane % 4 * 2;
      if (c < headDim) {
        *reinterpret_cast<unsigned*>(out + static_cast<long long>(row) * stride + c) = pack(acc[n][2 * half] * factor[half], acc[n][2 * half + 1] * factor[half]);
      }
    }
  }
}

// scores (16·M × 8·N) = rows [row, row + 16·M) of a · rows of bᵀ; a fragment of b serves M products
template <int D, int N, int M>
__device__ __forceinline__ void scores(float (&s)[M][N][4], const bf16* a, int row, const bf16* b) {
#pragma unroll
  for (int m = 0; m < M; m++) {
#pragma unroll
    for (int n = 0; n < N; n++) s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
  }
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    Fragment fa[M];
#pragma unroll
    for (int m = 0; m < M; m++) loadA(fa[m], a, D + 8, row + 16 * m, k);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      Fragment fb;
      loadB(fb, b, D + 8, n * 8, k);
#pragma unroll
      for (int m = 0; m < M; m++) {
        multiply(s[m][n], fa[m], fb[0], fb[1]);
        multiply(s[m][n + 1], fa[m], fb[2], fb[3]);
      }
    }
  }
}
// acc (16·M × D) += weights (16·M × 8·N) · b, whose rows are the weights' columns
template <int D, int N, int M>
__device__ __forceinline__ void accumulateRows(float (&acc)[M][D / 8][4], const float (&weights)[M][N][4], const bf16* b) {
#pragma unroll
  for (int k = 0; k < N / 2; k++) {
    Fragment fa[M];
#pragma unroll
    for (int m = 0; m < M; m++) toA(fa[m], weights[m][2 * k], weights[m][2 * k + 1]);
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      Fragment fb;
      loadBTransposed(fb, b, D + 8, k * 16, n * 8);
#pragma unroll
      for (int m = 0; m < M; m++) {
        multiply(acc[m][n], fa[m], fb[0], fb[1]);
        multiply(acc[m][n + 1], fa[m], fb[2], fb[3]);
      }
    }
  }
}
