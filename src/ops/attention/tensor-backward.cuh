#pragma once
#include "tensor.cuh"

// grid: (heads, query tiles), two tiles a block of the order
template <int D, int V, bool CAPPED> __device__ void tensorQueryGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int STEP = Tensor<D>::STEP, ROWS = Tensor<D>::ROWS, SIZE = STEP * (D + 8), VALUES = STEP * (V + 8), N = STEP / 8;
  bf16* qs = reinterpret_cast<bf16*>(raw);
  bf16 *os = qs + ROWS * (D + 8), *ks = os + ROWS * (V + 8), *vs = ks + 2 * SIZE;  // two of ks and vs
  const Masks<D> masks = {p, reinterpret_cast<int4*>(vs + 2 * VALUES)};
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  int head = blockIdx.x, group = head / (p.attrs.heads / p.attrs.kvHeads), d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = ownTile<ROWS>(p.queryOrder) * ROWS;
  const Queries queries = queriesOf(p, first, first + ROWS);
  int end = (p.keys + kTile - 1) / kTile * (kTile / STEP);

  // turns of STEP keys; a tile that nobody sees is passed over whole
  auto turnAfter = [&](int turn) {
    turn++;
    return turn % (kTile / STEP) ? turn : nextTile(p, turn / (kTile / STEP), queries) * (kTile / STEP);
  };
  auto fetch = [&](int turn, int stage) {
    if (turn < end) {
      copyRows<D, STEP>(ks + stage * SIZE, p.k, p.kStride, turn * STEP, p.keys, d, group * d);
      copyRows<V, STEP>(vs + stage * VALUES, p.v, p.vStride, turn * STEP, p.keys, v, group * v);
      masks.fetch(turn * STEP, stage);
    }
    commitCopies();
  };

  copyRows<D, ROWS>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  copyRows<V, ROWS>(os, p.dO, p.dOStride, first, p.queries, v, head * v);
  int turn = turnAfter(-1);
  fetch(turn, 0);
  float acc[1][D / 8][4] = {}, lse2[2], delta[2];
  int query[2], queryDepth[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    query[h] = first + row + lane / 4 + 8 * h;
    queryDepth[h] = depthOf(p, query[h]);
    lse2[h] = p.lse2[statisticOf(p, head, query[h])];
    delta[h] = p.delta[statisticOf(p, head, query[h])];
  }
  const Score<CAPPED> score(p);
  for (int stage = 0; turn < end; stage ^= 1) {
    int next = turnAfter(turn);
    fetch(next, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[1][N][4], g[1][N][4];
    scores<D, N, 1>(s, qs, row, ks + stage * SIZE);
    scores<V, N, 1>(g, os, row, vs + stage * VALUES);
    bool all = allSee(p, queries, p.tiles[turn / (kTile / STEP)]);
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int h = i / 2;
        float x = score(s[0][n][i]);
        float w = score.weight(x, lse2[h]);
        if (!all && !sees(p, query[h], queryDepth[h], masks.at(turn * STEP, stage, n * 8 + lane % 4 * 2 + i % 2))) w = 0;
        s[0][n][i] = w * (g[0][n][i] - delta[h]) * p.attrs.scale * score.slope(x);
      }
    }
    accumulateRows<D, N, 1>(acc, s, ks + stage * SIZE);
    __syncthreads();
    turn = next;
  }
  const float factor[2] = {1.0f, 1.0f};
  storeRows<D>(p.dQ, p.dQStride, first + row, p.queries, d, head * d, acc[0], factor);
}

// A warp's 16 keys against the queries of all heads of the group, which pass by in order: dV where OF_VALUES, dK where OF_KEYS.
template <int D, int V, bool CAPPED, bool OF_VALUES, bool OF_KEYS> __device__ __forceinline__ void tensorSumKeys(const Problem& p, unsigned char* raw) {
  using G = Tensor<D>;
  constexpr int STEP = G::STEP, ROWS = G::ROWS, THREADS = G::KEY_GRAD_THREADS, SIZE = STEP * (D + 8), VALUES = STEP * (V + 8), N = STEP / 8;
  bf16* ks = reinterpret_cast<bf16*>(raw);
  bf16 *vs = ks + ROWS * (D + 8), *qs = vs + ROWS * (V + 8), *os = qs + 2 * SIZE;  // two of qs and os
  float* lse2 = reinterpret_cast<float*>(os + 2 * VALUES);                         // two of each
  float* delta = lse2 + 2 * STEP;
  int lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16;
  int group = blockIdx.x, heads = p.attrs.heads / p.attrs.kvHeads, d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = ownTile<ROWS>(p.keyOrder) * ROWS;
  Tile tile = p.tiles[first / kTile];
  int begin = tile.low / STEP, end = tile.high > tile.low ? (tile.high + STEP - 1) / STEP : begin;  // turns of STEP queries that see one of the keys
  int turns = end - begin, total = turns * heads;

  auto queriesAt = [&](int turn) { return (begin + turn % turns) * STEP; };
  auto turnAfter = [&](int turn) {
    turn++;
    while (p.attrs.window && turn < total && !anySees(p, queriesOf(p, queriesAt(turn), queriesAt(turn) + STEP), tile)) turn++;
    return turn;
  };
  auto fetch = [&](int turn, int stage) {
    if (turn < total) {
      int head = group * heads + turn / turns, i0 = queriesAt(turn);
      copyRows<D, STEP, THREADS>(qs + stage * SIZE, p.q, p.qStride, i0, p.queries, d, head * d);
      copyRows<V, STEP, THREADS>(os + stage * VALUES, p.dO, p.dOStride, i0, p.queries, v, head * v);
      if (G::WORDS && threadIdx.x < STEP / 4) {
        copyAsync(lse2 + stage * STEP + threadIdx.x * 4, p.lse2 + statisticOf(p, head, i0 + threadIdx.x * 4), true);
        copyAsync(delta + stage * STEP + threadIdx.x * 4, p.delta + statisticOf(p, head, i0 + threadIdx.x * 4), true);
      }
    }
    commitCopies();
  };

  copyRows<D, ROWS, THREADS>(ks, p.k, p.kStride, first, p.keys, d, group * d);
  copyRows<V, ROWS, THREADS>(vs, p.v, p.vStride, first, p.keys, v, group * v);
  int turn = turnAfter(-1);
  fetch(turn, 0);
  Key key[2];
#pragma unroll
  for (int h = 0; h < 2; h++) key[h] = keyOf(p, first + row + lane / 4 + 8 * h);
  float dK[1][D / 8][4] = {}, dV[1][V / 8][4] = {};
  const Score<CAPPED> score(p);
  for (int stage = 0; turn < total; stage ^= 1) {
    int next = turnAfter(turn), i0 = queriesAt(turn);
    fetch(next, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[1][N][4], g[1][N][4];
    scores<D, N, 1>(s, ks, row, qs + stage * SIZE);
    if (OF_KEYS) scores<V, N, 1>(g, vs, row, os + stage * VALUES);
    bool all = allSee(p, queriesOf(p, i0, i0 + STEP), tile);
    // of the queries of this turn
    long long at = statisticOf(p, group * heads + turn / turns, i0);
    const float *lses = G::WORDS ? lse2 + stage * STEP : p.lse2 + at, *deltas = G::WORDS ? delta + stage * STEP : p.delta + at;
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int q = n * 8 + lane % 4 * 2 + i % 2;
        float x = score(s[0][n][i]);
        float w = score.weight(x, lses[q]);
        if (!all && !sees(p, i0 + q, depthOf(p, i0 + q), key[i / 2])) w = 0;
        s[0][n][i] = w;
        if (OF_KEYS) g[0][n][i] = w * (g[0][n][i] - deltas[q]) * p.attrs.scale * score.slope(x);
      }
    }
    if (OF_VALUES) accumulateRows<V, N, 1>(dV, s, os + stage * VALUES);
    if (OF_KEYS) accumulateRows<D, N, 1>(dK, g, qs + stage * SIZE);
    __syncthreads();
    turn = next;
  }
  const float factor[2] = {1.0f, 1.0f};
  if (OF_KEYS) storeRows<D>(p.dK, p.dKStride, first + row, p.keys, d, group * d, dK[0], factor);
  if (OF_VALUES) storeRows<V>(p.dV, p.dVStride, first + row, p.keys, v, group * v, dV[0], factor);
}

// grid: (key heads, key tiles). Beyond 128 channels dK and dV don't fit a warp's registers together: four warps sum dV, four dK.
template <int D, int V, bool CAPPED> __device__ void tensorKeyGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  if constexpr (!Tensor<D>::LARGE) tensorSumKeys<D, V, CAPPED, true, true>(p, raw);
  else if (threadIdx.x < 128) tensorSumKeys<D, V, CAPPED, true, false>(p, raw);
  else tensorSumKeys<D, V, CAPPED, false, true>(p, raw);
}
