#pragma once
#include "tensor.cuh"

// grid: (heads, query tiles); up to 128 channels two tiles of 16 queries a warp, so that each fragment of k and v is used twice
template <int D, int V, bool CAPPED> __device__ void tensorForward(const Problem& p) {
  extern __shared__ __align__(16) unsigned char raw[];
  constexpr int STEP = Tensor<D>::STEP, ROWS = Tensor<D>::FORWARD, M = ROWS / 64, N = STEP / 8, SIZE = STEP * (D + 8), VALUES = STEP * (V + 8), TURNS = kTile / STEP;
  bf16* qs = reinterpret_cast<bf16*>(raw);
  bf16 *ks = qs + ROWS * (D + 8), *vs = ks + 2 * SIZE;  // two of each
  const Masks<D> masks = {p, reinterpret_cast<int4*>(vs + 2 * VALUES)};
  int lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 * M;
  int head = blockIdx.x, group = head / (p.attrs.heads / p.attrs.kvHeads), d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = ownTile<ROWS>(p.queryOrder) * ROWS;
  const Queries queries = queriesOf(p, first, first + ROWS);
  int end = (p.keys + kTile - 1) / kTile * TURNS;

  // turns of STEP keys; a tile that nobody sees is passed over whole
  auto turnAfter = [&](int turn) {
    turn++;
    return turn % TURNS ? turn : nextTile(p, turn / TURNS, queries) * TURNS;
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
  int turn = turnAfter(-1);
  fetch(turn, 0);
  const Begin begin = beginOf(p, head);
  float acc[M][V / 8][4] = {};
  float top[M][2], total[M][2];  // of the scores before scaling
#pragma unroll
  for (int m = 0; m < M; m++) top[m][0] = top[m][1] = begin.top, total[m][0] = total[m][1] = begin.total;
  const Score<CAPPED> score(p);
  for (int stage = 0; turn < end; stage ^= 1) {
    int next = turnAfter(turn);
    fetch(next, stage ^ 1);
    waitCopies<1>();
    __syncthreads();
    float s[M][N][4];
    scores<D, N, M>(s, qs, row, ks + stage * SIZE);
    if (CAPPED) {
#pragma unroll
      for (int m = 0; m < M; m++) {
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
          for (int i = 0; i < 4; i++) s[m][n][i] = score(s[m][n][i]);
        }
      }
    }
    if (!allSee(p, queries, p.tiles[turn / TURNS])) {
#pragma unroll
      for (int m = 0; m < M; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          int query = first + row + 16 * m + lane / 4 + 8 * h;
          int queryDepth = depthOf(p, query);
#pragma unroll
          for (int n = 0; n < N; n++) {
#pragma unroll
            for (int i = 0; i < 2; i++) {
              if (!sees(p, query, queryDepth, masks.at(turn * STEP, stage, n * 8 + lane % 4 * 2 + i))) s[m][n][2 * h + i] = negativeInfinity();
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
        float shift = best == negativeInfinity() ? 0.0f : best * score.scale2;  // nothing seen so far: every 2^(−∞) is 0
        float old = score.weight(top[m][h], shift);
        top[m][h] = best;
#pragma unroll
        for (int n = 0; n < N; n++) {
#pragma unroll
          for (int i = 2 * h; i < 2 * h + 2; i++) sum += s[m][n][i] = score.weight(s[m][n][i], shift);
        }
        total[m][h] = total[m][h] * old + quadSum(sum);
#pragma unroll
        for (int n = 0; n < V / 8; n++) {
          acc[m][n][2 * h] *= old;
          acc[m][n][2 * h + 1] *= old;
        }
      }
    }
    accumulateRows<V, N, M>(acc, s, vs + stage * VALUES);
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
        p.lse[static_cast<long long>(r) * p.lseStride + head] = total[m][h] > 0 ? (top[m][h] * score.scale2 + log2f(total[m][h])) * kLn2 : negativeInfinity();
      }
    }
    storeRows<V>(p.o, p.oStride, first + row + 16 * m, p.queries, v, head * v, acc[m], factor);
  }
}
