#pragma once
#include "hopper.cuh"

// heads of q and k of up to D channels, of v and o of up to V
template <int D, int V> struct Forward {
  static constexpr int KEYS = D > 128 ? 64 : 128, OWN = D > 192 ? 1 : 2, STAGES = 2, TILE = KEYS * D * 2, VALUES = KEYS * V * 2;
  struct Shared {
    unsigned char q[OWN][kBlock * D * 2], k[STAGES][TILE], v[STAGES][VALUES];
    int4 masks[STAGES][KEYS];
    Tiles<OWN> own;
    Tiles<STAGES> ks, vs;
  };
};

template <int D, int V> __device__ void copyForward(const Problem& p, typename Forward<D, V>::Shared& s) {
  using F = Forward<D, V>;
  constexpr int KEYS = F::KEYS, WIDE = KEYS / kTile;
  const Map *q = p.maps, *k = q + 1, *v = q + 2;
  bool leads = threadIdx.x % 32 == 0;
  if (leads) acquireMap(*q), acquireMap(*k), acquireMap(*v);
  int heads = p.attrs.heads, items = (p.queries + kBlock - 1) / kBlock * heads;
  int end = (p.keys + KEYS - 1) / KEYS;
  Ring<F::OWN> own;
  Ring<F::STAGES> ring;
  for (;; own.advance()) {
    int item = nextItem(p.queues), o = own.stage;
    if (item >= items) {
      if (leads) {
        await(&s.own.empty[o], own.parity ^ 1);
        s.own.label[o] = kEnd;
        arrive(&s.own.full[o]);
      }
      return;
    }
    int head = item % heads, block = p.queryOrder[item / heads], group = head / (heads / p.attrs.kvHeads);
    Queries queries = queriesOf(p, block * kBlock, (block + 1) * kBlock);
    int t = nextTile(p, 0, queries, WIDE);
    if (leads) {
      await(&s.own.empty[o], own.parity ^ 1);
      s.own.label[o] = 2 * block + (t < end), s.own.head[o] = head;
      arriveWith(&s.own.full[o], sizeof(s.q[o]));
      copyRows<D, kBlock>(s.q[o], *q, &s.own.full[o], head, block * kBlock);
    }
    while (t < end) {
      int next = nextTile(p, t + 1, queries, WIDE), i = ring.stage;
      if (leads) {
        await(&s.ks.empty[i], ring.parity ^ 1);
        s.ks.label[i] = tileLabel(t, next >= end, allSee(p, queries, tileAt(p, t, WIDE)));
        arriveWith(&s.ks.full[i], F::TILE + KEYS * 16);
        copyRows<D, KEYS>(s.k[i], *k, &s.ks.full[i], group, t * KEYS);
        copyBytes(s.masks[i], p.masks + t * KEYS, KEYS * 16, &s.ks.full[i]);
        await(&s.vs.empty[i], ring.parity ^ 1);
        arriveWith(&s.vs.full[i], F::VALUES);
        copyRows<V, KEYS>(s.v[i], *v, &s.vs.full[i], group, t * KEYS);
      }
      __syncwarp();
      t = next;
      ring.advance();
    }
  }
}

template <int D, int V, bool CAPPED> __device__ void hopperForward(const Problem& p) {
  using F = Forward<D, V>;
  constexpr int KEYS = F::KEYS, STAGES = F::STAGES;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename F::Shared& s = *reinterpret_cast<typename F::Shared*>(raw);
  if (threadIdx.x == 0) {
    s.own.init(), s.ks.init(), s.vs.init();
    publishBarriers();
  }
  __syncthreads();
  if (threadIdx.x >= kGroups * 128) {
    fewerRegisters<kCopyRegisters>();
    if (threadIdx.x < kGroups * 128 + 32) copyForward<D, V>(p, s);
    return;
  }

  moreRegisters<kProductRegisters>();
  const Score<CAPPED> score(p);
  Ring<F::OWN> own;
  Ring<STAGES> ks, vs;
  for (;; own.advance()) {
    int e = own.stage;
    await(&s.own.full[e], own.parity);
    int item = s.own.label[e], head = s.own.head[e];
    if (item == kEnd) return;
    int row = blockOf(item) * kBlock + threadIdx.x / 128 * 64, query[2], queryDepth[2];
#pragma unroll
    for (int h = 0; h < 2; h++) query[h] = row + threadRow() + 8 * h, queryDepth[h] = depthOf(p, query[h]);
    unsigned q = sharedAddress(s.q[e]) + threadIdx.x / 128 * kBoxBytes;
    Rows<V> o = {};
    const Begin begin = beginOf(p, head);
    // four lanes sum a row's weights: one of them begins with the sink's
    float first = threadColumn() == 0 ? begin.total : 0.0f;
    float top[2] = {begin.top, begin.top}, total[2] = {first, first}, x[KEYS / 2], old[2];

    // scores to weights; `old` is what earlier weights shrink by
    auto soften = [&](int stage, int label) {
      if (CAPPED) {
#pragma unroll
        for (int i = 0; i < KEYS / 2; i++) x[i] = score(x[i]);
      }
      if (!isWhole(label)) hide<KEYS>(x, negativeInfinity(), p, s.masks[stage], query, queryDepth);
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

    if (hasTiles(item)) {
      Fragment w[KEYS / 16];
      await(&s.ks.full[ks.stage], ks.parity);
      int label = s.ks.label[ks.stage];
      beginProducts();
      products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[ks.stage]), KEYS);
      commitProducts();
      waitProducts<0>();
      settle(x);
      soften(ks.stage, label);
      release(&s.ks.empty[ks.stage]);
      ks.advance();
      toWeights(w, x);
      while (!isLast(label)) {
        // the next scores; behind them, the last weights' share of o
        await(&s.ks.full[ks.stage], ks.parity);
        label = s.ks.label[ks.stage];
        beginProducts();
        products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[ks.stage]), KEYS);
        commitProducts();
        await(&s.vs.full[vs.stage], vs.parity);
        beginProducts();
        accumulate<V, KEYS>(o, w, sharedAddress(s.v[vs.stage]));
        commitProducts();
        waitProducts<1>();
        settle(x);
        soften(ks.stage, label);
        release(&s.ks.empty[ks.stage]);
        ks.advance();
        waitProducts<0>();
        settle(o);
        release(&s.vs.empty[vs.stage]);
        vs.advance();
#pragma unroll
        for (int n = 0; n < V / Rows<V>::PIECE; n++) {
#pragma unroll
          for (int j = 0; j < Rows<V>::PIECE / 2; j++) o.piece[n][j] *= old[j / 2 % 2];
        }
        toWeights(w, x);
      }
      release(&s.own.empty[e]);
      await(&s.vs.full[vs.stage], vs.parity);
      beginProducts();
      accumulate<V, KEYS>(o, w, sharedAddress(s.v[vs.stage]));
      commitProducts();
      waitProducts<0>();
      settle(o);
      release(&s.vs.empty[vs.stage]);
      vs.advance();
    } else {
      release(&s.own.empty[e]);
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
    storeRows<V>(p.o, p.oStride, row, p.queries, p.attrs.valueDim, head * p.attrs.valueDim, o, factor);
  }
}
