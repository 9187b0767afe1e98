#pragma once
#include "tensor.cuh"

// grid: (heads, query tiles), two tiles a block of the order
template <int D, bool CAPPED> __device__ void tensorQueryGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int OWN = kRows * (D + 8), SIZE = kStep * (D + 8), N = kStep / 8;
  bf16* qs = reinterpret_cast<bf16*>(raw);
  bf16 *os = qs + OWN, *ks = os + OWN, *vs = ks + 2 * SIZE;  // two of ks and vs
  int* masks = reinterpret_cast<int*>(vs + 2 * SIZE);
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  int head = blockIdx.x, group = head / (p.attrs.heads / p.attrs.kvHeads), d = p.attrs.headDim;
  int first = ownTile(p.queryOrder) * kRows;
  const Queries queries = queriesOf(p, first, first + kRows);
  int end = (p.keys + kTile - 1) / kTile * (kTile / kStep);

  // turns of kStep keys; a tile that nobody sees is passed over whole
  auto turnAfter = [&](int turn) {
    turn++;
    return turn % (kTile / kStep) ? turn : nextTile(p, turn / (kTile / kStep), queries) * (kTile / kStep);
  };
  auto fetch = [&](int turn, int stage) {
    if (turn < end) {
      copyRows<D, kStep>(ks + stage * SIZE, p.k, p.kStride, turn * kStep, p.keys, d, group * d);
      copyRows<D, kStep>(vs + stage * SIZE, p.v, p.vStride, turn * kStep, p.keys, d, group * d);
      copyMasks(masks + stage * 3 * kStep, p, turn * kStep);
    }
    commitCopies();
  };

  copyRows<D, kRows>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  copyRows<D, kRows>(os, p.dO, p.dOStride, first, p.queries, d, head * d);
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
    scores<D, N, 1>(g, os, row, vs + stage * SIZE);
    bool all = allSee(p, queries, p.tiles[turn / (kTile / kStep)]);
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int h = i / 2;
        float x = score(s[0][n][i]);
        float w = score.weight(x, lse2[h]);
        if (!all && !sees(p, query[h], queryDepth[h], maskAt(masks + stage * 3 * kStep, n * 8 + lane % 4 * 2 + i % 2))) w = 0;
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

// grid: (key heads, key tiles); a warp's rows are 16 keys, the queries of all heads of the group pass by in order
template <int D, bool CAPPED> __device__ void tensorKeyGrad(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int OWN = kRows * (D + 8), SIZE = kStep * (D + 8), N = kStep / 8;
  bf16* ks = reinterpret_cast<bf16*>(raw);
  bf16 *vs = ks + OWN, *qs = vs + OWN, *os = qs + 2 * SIZE;  // two of qs and os
  float* lse2 = reinterpret_cast<float*>(os + 2 * SIZE);     // two of each
  float* delta = lse2 + 2 * kStep;
  int* depth = reinterpret_cast<int*>(delta + 2 * kStep);
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16;
  int group = blockIdx.x, heads = p.attrs.heads / p.attrs.kvHeads, d = p.attrs.headDim;
  int first = ownTile(p.keyOrder) * kRows;
  Tile tile = p.tiles[first / kTile];
  int begin = tile.low / kStep, end = tile.high > tile.low ? (tile.high + kStep - 1) / kStep : begin;  // turns of kStep queries that see one of the keys
  int turns = end - begin, total = turns * heads;

  auto fetch = [&](int turn, int stage) {
    if (turn < total) {
      int head = group * heads + turn / turns, i0 = (begin + turn % turns) * kStep;
      copyRows<D, kStep>(qs + stage * SIZE, p.q, p.qStride, i0, p.queries, d, head * d);
      copyRows<D, kStep>(os + stage * SIZE, p.dO, p.dOStride, i0, p.queries, d, head * d);
      if (threadIdx.x < kStep) {
        int query = i0 + threadIdx.x;
        copyWord(lse2 + stage * kStep + threadIdx.x, p.lse2, statisticOf(p, head, query), true);
        copyWord(delta + stage * kStep + threadIdx.x, p.delta, statisticOf(p, head, query), true);
        if (p.attrs.window) copyWord(depth + stage * kStep + threadIdx.x, p.depth, query, query < p.queries);
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
  float dK[1][D / 8][4] = {}, dV[1][D / 8][4] = {};
  const Score<CAPPED> score(p);
  for (int turn = 0; turn < total; turn++) {
    int stage = turn % 2, i0 = (begin + turn % turns) * kStep;
    fetch(turn + 1, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[1][N][4], g[1][N][4];
    scores<D, N, 1>(s, ks, row, qs + stage * SIZE);
    scores<D, N, 1>(g, vs, row, os + stage * SIZE);
    bool all = allSee(p, queriesOf(p, i0, i0 + kStep), tile);
#pragma unroll
    for (int n = 0; n < N; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int q = n * 8 + lane % 4 * 2 + i % 2, at = stage * kStep + q;
        float x = score(s[0][n][i]);
        float w = score.weight(x, lse2[at]);
        if (!all && !sees(p, i0 + q, depth[at], key[i / 2])) w = 0;
        s[0][n][i] = w;
        g[0][n][i] = w * (g[0][n][i] - delta[at]) * p.attrs.scale * score.slope(x);
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
