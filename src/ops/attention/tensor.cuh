// Attention on the tensor cores for bf16, heads of up to D = 64 or 128 channels (a multiple of 8; the rest is zeros). Four warps of 16 rows
// each; tiles of the other side come through shared memory by asynchronous copies, one ahead of the arithmetic. No value is added by more
// than one block, so the bits depend on nothing but the inputs.
#pragma once
#include "mma.cuh"
#include "problem.cuh"

constexpr int kRows = 64;  // in backward, a block's own queries (or keys)
constexpr int kStep = 32;  // and the other side's rows a turn

template <int D, int ROWS>
__device__ __forceinline__ void copyRows(bf16* to, const void* x, int stride, int first, int rows, int headDim, int column) {
  constexpr int CHUNKS = D / 8;
  const bf16* from = static_cast<const bf16*>(x) + column;
#pragma unroll
  for (int i = threadIdx.x; i < ROWS * CHUNKS; i += 128) {
    int r = i / CHUNKS, c = i % CHUNKS * 8;
    bool inside = first + r < rows && c < headDim;
    copyAsync(to + r * (D + 8) + c, inside ? from + static_cast<long long>(first + r) * stride + c : from, inside);
  }
}

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

// 2^x, good to 2 units in the last place; 2^−∞ = 0
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// every query of [q0, q1) sees every key of the tile
__device__ __forceinline__ bool seenByAll(const Problem& p, const int4& tile, int q0, int q1) {
  return p.window == 0 && tile.z <= q0 && tile.w >= q1;
}

// the sum (or maximum) over the four lanes that share a row
__device__ __forceinline__ float quadSum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ __forceinline__ float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

// The queries a block of tensorForward owns: two tiles of 16 a warp, so that each fragment of k and v is used twice.
constexpr int kForwardRows = 128;

// grid: (query tiles, heads)
template <int D> __device__ void tensorForward(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int M = 2, N = kStep / 8, SIZE = kStep * (D + 8), TURNS = kTile / kStep;
  bf16* qs = reinterpret_cast<bf16*>(raw);
  bf16 *ks = qs + kForwardRows * (D + 8), *vs = ks + 2 * SIZE;  // two of each
  Key* mask = reinterpret_cast<Key*>(vs + 2 * SIZE);
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 * M;
  int head = blockIdx.y, group = head / (p.heads / p.kvHeads), d = p.headDim;
  int first = (gridDim.x - 1 - blockIdx.x) * kForwardRows;  // the last queries see most: they go first
  int start = p.queryStart ? *p.queryStart : 0, q0 = start + first, q1 = q0 + kForwardRows;
  int end = (p.keys + kTile - 1) / kTile * TURNS;

  // turns of kStep keys; a tile that nobody sees is passed over whole
  auto turnAfter = [&](int turn) {
    turn++;
    return turn % TURNS ? turn : nextTile(p, turn / TURNS, q0, q1) * TURNS;
  };
  auto fetch = [&](int turn, int stage) {
    if (turn < end) {
      copyRows<D, kStep>(ks + stage * SIZE, p.k, p.kStride, turn * kStep, p.keys, d, group * d);
      copyRows<D, kStep>(vs + stage * SIZE, p.v, p.vStride, turn * kStep, p.keys, d, group * d);
      if (threadIdx.x < kStep) mask[stage * kStep + threadIdx.x] = keyOf(p, turn * kStep + threadIdx.x);
    }
    commitCopies();
  };

  copyRows<D, kForwardRows>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  int turn = turnAfter(-1);
  fetch(turn, 0);
  float acc[M][D / 8][4] = {};
  float top[M][2], total[M][2] = {};  // of the scores before scaling
#pragma unroll
  for (int m = 0; m < M; m++) top[m][0] = top[m][1] = negativeInfinity();
  float scale = p.scale * kLog2e;
  for (int stage = 0; turn < end; stage ^= 1) {
    int next = turnAfter(turn);
    fetch(next, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[M][N][4];
    scores<D, N, M>(s, qs, row, ks + stage * SIZE);
    if (!seenByAll(p, p.tiles[turn / TURNS], q0, q1)) {
#pragma unroll
      for (int m = 0; m < M; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          int query = q0 + row + 16 * m + lane / 4 + 8 * h;
          int queryDepth = p.window && query < p.keys ? p.depth[query] : 0;
#pragma unroll
          for (int n = 0; n < N; n++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
              if (!sees(p, query, queryDepth, mask[stage * kStep + n * 8 + lane % 4 * 2 + i])) s[m][n][2 * h + i] = negativeInfinity();
            }
          }
        }
      }
    }
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        float best = top[m][h], sum = 0;
#pragma unroll
        for (int n = 0; n < N; n++) best = fmaxf(best, fmaxf(s[m][n][2 * h], s[m][n][2 * h + 1]));
        best = quadMax(best);
        float shift = best == negativeInfinity() ? 0.0f : best * scale;  // nothing seen so far: every 2^(−∞) is 0
        float old = power2(top[m][h] * scale - shift);
        top[m][h] = best;
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
          for (int i = 2 * h; i < 2 * h + 2; i++) sum += s[m][n][i] = power2(s[m][n][i] * scale - shift);
        }
        total[m][h] = total[m][h] * old + quadSum(sum);
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
          acc[m][n][2 * h] *= old;
          acc[m][n][2 * h + 1] *= old;
        }
      }
    }
    accumulateRows<D, N, M>(acc, s, vs + stage * SIZE);
    __syncthreads();
    turn = next;
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      factor[h] = total[m][h] > 0 ? 1.0f / total[m][h] : 0.0f;
      int r = first + row + 16 * m + lane / 4 + 8 * h;
      if (lane % 4 == 0 && r < p.queries) {
        p.lse[static_cast<long long>(r) * p.lseStride + head] = total[m][h] > 0 ? (top[m][h] * scale + log2f(total[m][h])) * kLn2 : negativeInfinity();
      }
    }
    storeRows<D>(p.o, p.oStride, first + row + 16 * m, p.queries, d, head * d, acc[m], factor);
  }
}

// grid: (query tiles, heads)
template <int D> __device__ void tensorQueryGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int OWN = kRows * (D + 8), SIZE = kStep * (D + 8), N = kStep / 8;
  bf16* qs = reinterpret_cast<bf16*>(raw);
  bf16 *os = qs + OWN, *ks = os + OWN, *vs = ks + 2 * SIZE;  // two of ks and vs
  Key* mask = reinterpret_cast<Key*>(vs + 2 * SIZE);
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  int head = blockIdx.y, group = head / (p.heads / p.kvHeads), d = p.headDim;
  int first = (gridDim.x - 1 - blockIdx.x) * kRows;
  int end = (p.keys + kTile - 1) / kTile * (kTile / kStep);

  // turns of kStep keys; a tile that nobody sees is passed over whole
  auto turnAfter = [&](int turn) {
    turn++;
    return turn % (kTile / kStep) ? turn : nextTile(p, turn / (kTile / kStep), first, first + kRows) * (kTile / kStep);
  };
  auto fetch = [&](int turn, int stage) {
    if (turn < end) {
      copyRows<D, kStep>(ks + stage * SIZE, p.k, p.kStride, turn * kStep, p.keys, d, group * d);
      copyRows<D, kStep>(vs + stage * SIZE, p.v, p.vStride, turn * kStep, p.keys, d, group * d);
      if (threadIdx.x < kStep) mask[stage * kStep + threadIdx.x] = keyOf(p, turn * kStep + threadIdx.x);
    }
    commitCopies();
  };

  copyRows<D, kRows>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  copyRows<D, kRows>(os, p.dO, p.dOStride, first, p.queries, d, head * d);
  int turn = turnAfter(-1);
  fetch(turn, 0);
  float acc[1][D / 8][4] = {}, lse[2], delta[2];
  int query[2], queryDepth[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    query[h] = first + row + lane / 4 + 8 * h;
    bool inside = query[h] < p.queries;
    queryDepth[h] = p.window && inside ? p.depth[query[h]] : 0;
    lse[h] = inside ? p.lse[static_cast<long long>(query[h]) * p.lseStride + head] * kLog2e : 0;
    delta[h] = inside ? p.delta[static_cast<long long>(query[h]) * p.heads + head] : 0;
  }
  float scale = p.scale * kLog2e;
  for (int stage = 0; turn < end; stage ^= 1) {
    int next = turnAfter(turn);
    fetch(next, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[1][N][4], g[1][N][4];
    scores<D, N, 1>(s, qs, row, ks + stage * SIZE);
    scores<D, N, 1>(g, os, row, vs + stage * SIZE);
    bool all = seenByAll(p, p.tiles[turn / (kTile / kStep)], first, first + kRows);
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int h = i / 2;
        float w = power2(s[0][n][i] * scale - lse[h]);
        if (!all && !sees(p, query[h], queryDepth[h], mask[stage * kStep + n * 8 + lane % 4 * 2 + i % 2])) w = 0;
        s[0][n][i] = w * (g[0][n][i] - delta[h]) * p.scale;
      }
    }
    accumulateRows<D, N, 1>(acc, s, ks + stage * SIZE);
    __syncthreads();
    turn = next;
  }
  const float factor[2] = {1.0f, 1.0f};
  storeRows<D>(p.dQ, p.dQStride, first + row, p.queries, d, head * d, acc[0], factor);
}

// grid: (key tiles, key heads); a warp's rows are 16 keys, the queries of all heads of the group pass by in order
template <int D> __device__ void tensorKeyGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int OWN = kRows * (D + 8), SIZE = kStep * (D + 8), N = kStep / 8;
  bf16* ks = reinterpret_cast<bf16*>(raw);
  bf16 *vs = ks + OWN, *qs = vs + OWN, *os = qs + 2 * SIZE;  // two of qs and os
  float* lse = reinterpret_cast<float*>(os + 2 * SIZE);      // two of each
  float* delta = lse + 2 * kStep;
  int* depth = reinterpret_cast<int*>(delta + 2 * kStep);
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  int group = blockIdx.y, heads = p.heads / p.kvHeads, d = p.headDim;
  int first = blockIdx.x * kRows;
  int4 tile = p.tiles[blockIdx.x];
  int begin = tile.x / kStep, end = tile.y > tile.x ? (tile.y + kStep - 1) / kStep : begin;  // turns of kStep queries that see one of the keys
  int turns = end - begin, total = turns * heads;

  auto fetch = [&](int turn, int stage) {
    if (turn < total) {
      int head = group * heads + turn / turns, i0 = (begin + turn % turns) * kStep;
      copyRows<D, kStep>(qs + stage * SIZE, p.q, p.qStride, i0, p.queries, d, head * d);
      copyRows<D, kStep>(os + stage * SIZE, p.dO, p.dOStride, i0, p.queries, d, head * d);
      if (threadIdx.x < kStep) {
        long long query = i0 + threadIdx.x;
        bool inside = query < p.queries;
        lse[stage * kStep + threadIdx.x] = inside ? p.lse[query * p.lseStride + head] * kLog2e : 0;
        delta[stage * kStep + threadIdx.x] = inside ? p.delta[query * p.heads + head] : 0;
        depth[stage * kStep + threadIdx.x] = inside && p.window ? p.depth[query] : 0;
      }
    }
    commitCopies();
  };

  copyRows<D, kRows>(ks, p.k, p.kStride, first, p.keys, d, group * d);
  copyRows<D, kRows>(vs, p.v, p.vStride, first, p.keys, d, group * d);
  fetch(0, 0);
  Key key[2];
#pragma unroll
  for (int h = 0; h < 2; h++) key[h] = keyOf(p, first + row + lane / 4 + 8 * h);
  float dK[1][D / 8][4] = {}, dV[1][D / 8][4] = {}, scale = p.scale * kLog2e;
  for (int turn = 0; turn < total; turn++) {
    int stage = turn % 2, i0 = (begin + turn % turns) * kStep;
    fetch(turn + 1, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[1][N][4], g[1][N][4];
    scores<D, N, 1>(s, ks, row, qs + stage * SIZE);
    scores<D, N, 1>(g, vs, row, os + stage * SIZE);
    bool all = seenByAll(p, tile, i0, i0 + kStep);
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int q = n * 8 + lane % 4 * 2 + i % 2, at = stage * kStep + q;
        float w = power2(s[0][n][i] * scale - lse[at]);
        if (!all && !sees(p, i0 + q, depth[at], key[i / 2])) w = 0;
        s[0][n][i] = w;
        g[0][n][i] = w * (g[0][n][i] - delta[at]) * p.scale;
      }
    }
    accumulateRows<D, N, 1>(dV, s, os + stage * SIZE);
    accumulateRows<D, N, 1>(dK, g, qs + stage * SIZE);
    __syncthreads();
  }
  const float factor[2] = {1.0f, 1.0f};
  storeRows<D>(p.dK, p.dKStride, first + row, p.keys, d, group * d, dK[0], factor);
  storeRows<D>(p.dV, p.dVStride, first + row, p.keys, d, group * d, dV[0], factor);
}
