#pragma once
#include "hopper.cuh"

template <int D> struct Forward {
  static constexpr int KEYS = D > 128 ? 64 : 128, STAGES = 2, TILE = KEYS * D * 2;
  struct Shared {
    unsigned char q[kBlock * D * 2], k[STAGES][TILE], v[STAGES][TILE];
    int4 masks[STAGES][KEYS];
    Barrier qFull;
    Tiles<STAGES> ks, vs;
    int tile[STAGES];
  };
};

// grid: (heads, query blocks)
template <int D, bool CAPPED> __device__ void hopperForward(const Problem& p) {
  using F = Forward<D>;
  constexpr int KEYS = F::KEYS, STAGES = F::STAGES;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename F::Shared& s = *reinterpret_cast<typename F::Shared*>(raw);
  int head = blockIdx.x, group = head / (p.attrs.heads / p.attrs.kvHeads);
  int first = p.queryOrder[blockIdx.y] * kBlock, start = p.queryStart ? *p.queryStart : 0;
  if (threadIdx.x == 0) {
    initBarrier(&s.qFull, 1);
    s.ks.init(), s.vs.init();
    publishBarriers();
  }
  __syncthreads();

  if (threadIdx.x >= kGroups * 128) {
    fewRegisters();
    if (threadIdx.x >= kGroups * 128 + 32) return;
    const unsigned char *maps = p.maps, *q = maps, *k = maps + 128, *v = maps + 256;
    bool leads = threadIdx.x % 32 == 0;
    if (leads) {
      acquireMap(q), acquireMap(k), acquireMap(v);
      arriveWith(&s.qFull, sizeof(s.q));
      copyTile<D, kBlock>(s.q, q, &s.qFull, head, first);
    }
    Queries queries = queriesOf(p, start + first, start + first + kBlock);
    int end = (p.keys + KEYS - 1) / KEYS;
    Ring<STAGES> ring;
    for (int t = -1; t < end; ring.advance()) {
      t = nextTile(p, t + 1, queries, KEYS / kTile);
      if (leads) {
        int i = ring.stage;
        await(&s.ks.empty[i], ring.parity ^ 1);
        if (t < end) {
          s.tile[i] = 2 * t + allSee(p, queries, tileAt(p, t, KEYS / kTile));
          arriveWith(&s.ks.full[i], F::TILE + KEYS * 16);
          copyTile<D, KEYS>(s.k[i], k, &s.ks.full[i], group, t * KEYS);
          copyBytes(s.masks[i], p.masks + t * KEYS, KEYS * 16, &s.ks.full[i]);
          await(&s.vs.empty[i], ring.parity ^ 1);
          arriveWith(&s.vs.full[i], F::TILE);
          copyTile<D, KEYS>(s.v[i], v, &s.vs.full[i], group, t * KEYS);
        } else {
          s.tile[i] = kEnd;
          arrive(&s.ks.full[i]);
        }
      }
      __syncwarp();
    }
    return;
  }

  manyRegisters();
  const Score<CAPPED> score(p);
  int row = first + threadIdx.x / 128 * 64, query[2], queryDepth[2];
#pragma unroll
  for (int h = 0; h < 2; h++) query[h] = start + row + threadRow() + 8 * h, queryDepth[h] = depthOf(p, query[h]);
  unsigned q = sharedAddress(s.q) + threadIdx.x / 128 * kBoxBytes;
  Rows<D> o = {};
  float top[2] = {negativeInfinity(), negativeInfinity()}, total[2] = {}, x[KEYS / 2], old[2];

  // scores to weights; `old` is what earlier weights shrink by
  auto soften = [&](int stage) {
    if (CAPPED) {
#pragma unroll
      for (int i = 0; i < KEYS / 2; i++) x[i] = score(x[i]);
    }
    if (!(s.tile[stage] & 1)) {
#pragma unroll
      for (int i = 0; i < KEYS / 4; i++) {
        int4 key = s.masks[stage][i / 2 * 8 + threadColumn() + i % 2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          if (!sees(p, query[h], queryDepth[h], {key.x, key.y, key.z})) x[i / 2 * 4 + 2 * h + i % 2] = negativeInfinity();
        }
      }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float best = top[h], sum = 0;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) best = fmaxf(best, fmaxf(x[4 * n + 2 * h], x[4 * n + 2 * h + 1]));
      best = quadMax(best);
      float shift = best == negativeInfinity() ? 0.0f : best * score.scale2;  // nothing seen so far: every 2^(−∞) is 0
      old[h] = score.weight(top[h], shift);
      top[h] = best;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
        for (int i = 4 * n + 2 * h; i < 4 * n + 2 * h + 2; i++) sum += x[i] = score.weight(x[i], shift);
      }
      total[h] = total[h] * old[h] + sum;
    }
  };

  await(&s.qFull, 0);
  Ring<STAGES> ring;
  await(&s.ks.full[0], 0);
  if (s.tile[0] != kEnd) {
    Fragment w[KEYS / 16];
    beginProducts();
    products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[0]), KEYS);
    commitProducts();
    waitProducts<0>();
    settle(x);
    soften(0);
    release(&s.ks.empty[0]);
    toWeights(w, x);
    for (;;) {
      int before = ring.stage, parity = ring.parity;
      ring.advance();
      int i = ring.stage;
      await(&s.ks.full[i], ring.parity);
      if (s.tile[i] == kEnd) {
        await(&s.vs.full[before], parity);
        break;
      }
      // the next scores; behind them, the last weights' share of o
      beginProducts();
      products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[i]), KEYS);
      commitProducts();
      await(&s.vs.full[before], parity);
      beginProducts();
      accumulate<D, KEYS>(o, w, sharedAddress(s.v[before]));
      commitProducts();
      waitProducts<1>();
      settle(x);
      soften(i);
      release(&s.ks.empty[i]);
      waitProducts<0>();
      settle(o);
      release(&s.vs.empty[before]);
#pragma unroll
      for (int n = 0; n < D / Rows<D>::PIECE; n++) {
#pragma unroll
        for (int j = 0; j < Rows<D>::PIECE / 2; j++) o.piece[n][j] *= old[j / 2 % 2];
      }
      toWeights(w, x);
    }
    beginProducts();
    accumulate<D, KEYS>(o, w, sharedAddress(s.v[ring.stage ? ring.stage - 1 : STAGES - 1]));
    commitProducts();
    waitProducts<0>();
    settle(o);
  }
  float factor[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    total[h] = quadSum(total[h]);
    factor[h] = total[h] > 0 ? 1.0f / total[h] : 0.0f;
    int r = row + threadRow() + 8 * h;
    if (threadColumn() == 0 && r < p.queries) {
      p.lse[static_cast<long long>(r) * p.lseStride + head] = total[h] > 0 ? (top[h] * score.scale2 + log2f(total[h])) * kLn2 : negativeInfinity();
    }
  }
  storeTile<D>(p.o, p.oStride, row, p.queries, p.attrs.headDim, head * p.attrs.headDim, o, factor);
}
