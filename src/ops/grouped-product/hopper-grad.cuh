// dW_e (N, K) += alpha · dYᵀ · x over an expert's rows on Hopper, summed in f32. A tile is 128 columns of dY by WIDE of x; one warp has 64 rows
// at a time of both copied into a ring of shared memory, two warpgroups of 64 columns of dY each multiply what has come, where it lies: the sum
// counts rows. Blocks stay and walk the tiles in a fixed order, an expert's beside one another.
#pragma once
#include "hopper-experts.cuh"

constexpr int kStages = 4;  // of the ring

struct GradMaps {
  Map dY, x;
};
struct Gradient {
  const int* offsets;
  float* dW;
  int offsetsStride, dWStride;
  int experts, n, k;
  float alpha;
};

template <int WIDE> struct GradShared {
  unsigned char dY[kStages][2 * kBox], x[kStages][WIDE * 128];
  Barrier full[kStages], empty[kStages];
  Before before[1];  // a tile of each expert that has rows
};

struct GradTile {
  int expert, row, end, column, k;  // rows row … end − 1; columns of dY from `column`, of x from `k` on
};
template <int WIDE> struct GradWalk {
  const Gradient& g;
  const Before* before;
  int high, wide;
  __device__ GradWalk(const Gradient& g, const Before* before) : g(g), before(before), high((g.n + kHigh - 1) / kHigh), wide((g.k + WIDE - 1) / WIDE) {}
  __device__ int count() const { return before[g.experts].tiles * high * wide; }
  __device__ GradTile at(int index) const {
    int own = high * wide, expert = expertOf(index / own, g.experts, before), i = index % own;
    return {expert, before[expert].row, before[expert + 1].row, i / wide * kHigh, i % wide * WIDE};
  }
};

// by one thread
template <int WIDE> __device__ __forceinline__ void copyRows(GradShared<WIDE>& s, const GradMaps& maps, const Gradient& g) {
  GradWalk<WIDE> walk(g, s.before);
  Ring<kStages> ring;
  for (int i = blockIdx.x; i < walk.count(); i += gridDim.x) {
    GradTile t = walk.at(i);
    for (int row = t.row; row < t.end; row += kDepth, ring.advance()) {
      Barrier* full = &s.full[ring.stage];
      await(&s.empty[ring.stage], ring.parity ^ 1);
      arriveWith(full, 2 * kBox + WIDE * 128);
      for (int h = 0; h < 2; h++) copyTile(s.dY[ring.stage] + h * kBox, maps.dY, full, row, t.column + h * 64);
      for (int q = 0; q < WIDE / 64; q++) copyTile(s.x[ring.stage] + q * kBox, maps.x, full, row, t.k + q * 64);
    }
  }
}

// Rows from `from` up to a multiple of 16, which are the next expert's, become zeros: by a warpgroup, in its panel of dY and all of x. Where both
// write, they write the same.
template <int WIDE> __device__ __forceinline__ void clearRows(unsigned char* dY, unsigned char* x, int from, int group) {
  int pieces = (-from & 15) * 8;
  for (int i = threadIdx.x % 128; i < pieces; i += 128) {
    int at = from * 128 + i * 16;
    *reinterpret_cast<uint4*>(dY + at) = {0, 0, 0, 0};
#pragma unroll
    for (int q = 0; q < WIDE / 64; q++) *reinterpret_cast<uint4*>(x + q * kBox + at) = {0, 0, 0, 0};
  }
  publishShared();
  meet<128>(1 + group);
}

// Sums of this thread: two neighbours at once, in every 8 columns, of two rows.
template <int WIDE> __device__ __forceinline__ void addSums(const float (&c)[WIDE / 2], const Gradient& g, const GradTile& t, int group) {
  int row = t.column + group * 64 + threadRow(), column = t.k + threadColumn();
  float* to = g.dW + (static_cast<long long>(t.expert) * g.n + row) * g.dWStride + column;
  long long below = 8ll * g.dWStride;
  bool inside[2] = {row < g.n, row + 8 < g.n};
  constexpr int TOGETHER = 8;  // on their way at once
#pragma unroll
  for (int j = 0; j < WIDE / 8; j += TOGETHER) {
    float2 sum[TOGETHER][2];
#pragma unroll
    for (int i = 0; i < TOGETHER; i++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        if (inside[h] && column + (j + i) * 8 < g.k) sum[i][h] = *reinterpret_cast<const float2*>(to + h * below + (j + i) * 8);
      }
    }
#pragma unroll
    for (int i = 0; i < TOGETHER; i++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const float* v = c + (j + i) * 4 + 2 * h;
        if (inside[h] && column + (j + i) * 8 < g.k) *reinterpret_cast<float2*>(to + h * below + (j + i) * 8) = {sum[i][h].x + g.alpha * v[0], sum[i][h].y + g.alpha * v[1]};
      }
    }
  }
}

template <int WIDE> __device__ __forceinline__ void multiplyTiles(GradShared<WIDE>& s, const Gradient& g) {
  int group = threadIdx.x / 128;
  GradWalk<WIDE> walk(g, s.before);
  Ring<kStages> ring;
  for (int index = blockIdx.x; index < walk.count(); index += gridDim.x) {
    GradTile t = walk.at(index);
    if (t.column + group * 64 >= g.n) {  // no column of this warpgroup
      for (int row = t.row; row < t.end; row += kDepth, ring.advance()) {
        await(&s.full[ring.stage], ring.parity);
        release(&s.empty[ring.stage]);
      }
      continue;
    }
    float c[WIDE / 2] = {};
    int last = -1, row = t.row;
    for (; row + kDepth <= t.end; row += kDepth, ring.advance()) {
      await(&s.full[ring.stage], ring.parity);
      unsigned long long dY = operand(sharedAddress(s.dY[ring.stage] + group * kBox), kBox), x = operand(sharedAddress(s.x[ring.stage]), kBox);
      beginProducts();
#pragma unroll
      for (int i = 0; i < 4; i++) multiplyRows(c, dY + i * kStep<true>, x + i * kStep<true>);
      commitProducts();
      waitProducts<1>();
      if (last >= 0) release(&s.empty[last]);
      last = ring.stage;
    }
    if (row < t.end) {
      await(&s.full[ring.stage], ring.parity);
      int rest = t.end - row;
      clearRows<WIDE>(s.dY[ring.stage] + group * kBox, s.x[ring.stage], rest, group);
      unsigned long long dY = operand(sharedAddress(s.dY[ring.stage] + group * kBox), kBox), x = operand(sharedAddress(s.x[ring.stage]), kBox);
#pragma unroll 1
      for (int i = 0; i * 16 < rest; i++) {
        beginProducts();
        multiplyRows(c, dY + i * kStep<true>, x + i * kStep<true>);
        commitProducts();
        waitProducts<0>();
      }
      if (last >= 0) release(&s.empty[last]);
      last = ring.stage, ring.advance();
    }
    waitProducts<0>();
    settle(c);
    release(&s.empty[last]);
    addSums<WIDE>(c, g, t, group);
  }
}

template <int WIDE> __device__ __forceinline__ void groupedGradient(const GradMaps& maps, const Gradient& g) {
  extern __shared__ unsigned char raw[];
  GradShared<WIDE>& s = *reinterpret_cast<GradShared<WIDE>*>(raw + (-sharedAddress(raw) & 1023));
  if (threadIdx.x < 32) {
    countTiles(g.offsets, g.offsetsStride, g.experts, 1 << 30, s.before);
  } else if (threadIdx.x == 32) {
    prefetchMap(maps.dY), prefetchMap(maps.x);
    // an `empty` hears of the eight warps that multiply
    for (int i = 0; i < kStages; i++) initBarrier(&s.full[i], 1), initBarrier(&s.empty[i], 8);
    publishBarriers();
  }
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    moreRegisters<232>();
    multiplyTiles<WIDE>(s, g);
  } else {
    fewerRegisters<40>();
    if (threadIdx.x == kConsumers) copyRows<WIDE>(s, maps, g);
  }
}

#define GRADIENT(WIDE)                                                                                                                               \
  extern "C" __global__ void __launch_bounds__(384, 1) grouped_hopper_grad_##WIDE(const __grid_constant__ GradMaps maps, const __grid_constant__ Gradient g) { \
    groupedGradient<WIDE>(maps, g);                                                                                                                  \
  }
