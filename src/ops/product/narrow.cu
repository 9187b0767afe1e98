// D (M, N) = alpha · Σ_r a(m, r) · b(r, n) where N, a rank, is at most 64: a is read once, at the speed of memory. The blocks of a cluster own
// the same 128 rows and a piece of the sum each; their sums are added in the order of the pieces. A_COUNTS, B_COUNTS: rows of the operand's
// matrix are those the sum counts (a weight's gradient: tokens), else the sum runs along its rows.
#include "../cuda.cuh"
#include "../hopper.cuh"

constexpr int kRows = 128, kDepth = 64, kStages = 4, kBox = 64 * 128, kMostBlocks = 8;
enum Result { kRounded, kAdded, kAddedTransposed };  // D in bf16; onto D in f32; onto Dᵀ in f32

struct Output {
  void* at;
  int stride, m, n, r;
  float alpha;
};

template <int N, bool B_COUNTS> struct Narrow {
  static constexpr int B = (B_COUNTS ? 64 : N) * 128, STAGE = 2 * kBox + (B < 8 * 128 ? 8 * 128 : B), PITCH = N + 4;
  struct Shared {
    union {
      unsigned char tiles[kStages][STAGE];
      alignas(16) float sum[kRows * PITCH];
    };
    Barrier full[kStages], empty[kStages];
  };
};

template <Result RESULT> __device__ __forceinline__ long long place(const Output& d, int row, int column) {
  return RESULT == kAddedTransposed ? static_cast<long long>(column) * d.stride + row : static_cast<long long>(row) * d.stride + column;
}

// adds the blocks' sums; each block writes a share of the rows, a thread four columns of one
template <int N, Result RESULT, int PITCH> __device__ __forceinline__ void finish(const float* sum, const Output& d, int row) {
  int blocks = clusterSize(), height = kRows / blocks, first = clusterRank() * height;
  for (int i = threadIdx.x; i < height * N / 4; i += 256) {
    int r = first + (RESULT == kAddedTransposed ? i % height : i / (N / 4)), c = 4 * (RESULT == kAddedTransposed ? i / height : i % (N / 4));
    float4 pieces[kMostBlocks];
    float old[4] = {}, x[4] = {};
    if (row + r >= d.m) continue;
    if (RESULT != kRounded) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (c + j < d.n) old[j] = static_cast<const float*>(d.at)[place<RESULT>(d, row + r, c + j)];
      }
    }
#pragma unroll
    for (int b = 0; b < kMostBlocks; b++) pieces[b] = b < blocks ? loadFrom(sum + r * PITCH + c, b) : float4{};
#pragma unroll
    for (int b = 0; b < kMostBlocks; b++) x[0] += pieces[b].x, x[1] += pieces[b].y, x[2] += pieces[b].z, x[3] += pieces[b].w;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (c + j >= d.n) continue;
      long long at = place<RESULT>(d, row + r, c + j);
      if (RESULT == kRounded) static_cast<bf16*>(d.at)[at] = fromFloat<bf16>(d.alpha * x[j]);
      else static_cast<float*>(d.at)[at] = old[j] + d.alpha * x[j];
    }
  }
}

template <int N, bool A_COUNTS, bool B_COUNTS, Result RESULT> __device__ __forceinline__ void narrowProduct(const Map& a, const Map& b, const Output& d) {
  using L = Narrow<N, B_COUNTS>;
  extern __shared__ unsigned char raw[];
  typename L::Shared& s = *reinterpret_cast<typename L::Shared*>(raw + (-sharedAddress(raw) & 1023));
  if (threadIdx.x == 0) {
    prefetchMap(a), prefetchMap(b);
    for (int i = 0; i < kStages; i++) initBarrier(&s.full[i], 1), initBarrier(&s.empty[i], 8);
    publishBarriers();
  }
  __syncthreads();
  int row = blockIdx.y * kRows, steps = (d.r + kDepth - 1) / kDepth, rank = clusterRank(), blocks = clusterSize();
  int from = static_cast<long long>(steps) * rank / blocks, to = static_cast<long long>(steps) * (rank + 1) / blocks;
  Ring<kStages> ring;
  float c[N / 2];
  if (threadIdx.x == 256) {
    for (int k = from; k < to; k++, ring.advance()) {
      unsigned char* stage = s.tiles[ring.stage];
      Barrier* full = &s.full[ring.stage];
      await(&s.empty[ring.stage], ring.parity ^ 1);
      arriveWith(full, 2 * kBox + L::B);
      if (A_COUNTS) {
        for (int h = 0; h < 2; h++) copyTile(stage + h * kBox, a, full, k * kDepth, row + h * 64);
      } else {
        copyTile(stage, a, full, row, k * kDepth);
      }
      if (B_COUNTS) copyTile(stage + 2 * kBox, b, full, k * kDepth, 0);
      else copyTile(stage + 2 * kBox, b, full, 0, k * kDepth);
    }
  } else if (threadIdx.x < 256) {
#pragma unroll
    for (int i = 0; i < N / 2; i++) c[i] = 0;
    for (int k = from; k < to; k++, ring.advance()) {
      await(&s.full[ring.stage], ring.parity);
      unsigned stage = sharedAddress(s.tiles[ring.stage]);
      unsigned long long fa = operand(stage + threadIdx.x / 128 * kBox, A_COUNTS ? kBox : 16), fb = operand(stage + 2 * kBox, B_COUNTS ? kBox : 16);
      beginProducts();
#pragma unroll
      for (int i = 0; i < 4; i++) multiply<A_COUNTS, B_COUNTS>(c, fa + i * kStep<A_COUNTS>, fb + i * kStep<B_COUNTS>, 1);
      commitProducts();
      waitProducts<0>();
      if (threadIdx.x % 32 == 0) arrive(&s.empty[ring.stage]);
    }
    settle(c);
  }
  __syncwarp();
  __syncthreads();  // the ring's memory becomes that of the sums
  if (threadIdx.x < 256) {
    int r = threadIdx.x / 128 * 64 + threadRow();
#pragma unroll
    for (int i = 0; i < N / 2; i++) s.sum[(r + (i & 2) * 4) * L::PITCH + i / 4 * 8 + threadColumn() + (i & 1)] = c[i];
  }
  clusterSync();
  if (threadIdx.x < 256) finish<N, RESULT, L::PITCH>(s.sum, d, row);
  clusterSync();  // nobody leaves while others read its sums
}

#define NARROW(NAME, N, A_COUNTS, B_COUNTS, RESULT)                                                                             \
  extern "C" __global__ void __launch_bounds__(288, 2)                                                                         \
      product_narrow_##NAME##_##N(const __grid_constant__ Map a, const __grid_constant__ Map b, const __grid_constant__ Output d) { \
    narrowProduct<N, A_COUNTS, B_COUNTS, RESULT>(a, b, d);                                                                     \
  }
#define NARROWS(NAME, A_COUNTS, B_COUNTS, RESULT)       \
  NARROW(NAME, 16, A_COUNTS, B_COUNTS, RESULT)          \
  NARROW(NAME, 32, A_COUNTS, B_COUNTS, RESULT)          \
  NARROW(NAME, 64, A_COUNTS, B_COUNTS, RESULT)
NARROWS(rows, false, false, kRounded)
NARROWS(trans, false, true, kRounded)
NARROWS(grad, true, true, kAdded)
NARROWS(grad_transposed, true, true, kAddedTransposed)
