#pragma once
#include "hopper.cuh"

template <int D, int V> struct QueryGrad {
  // as many keys as the registers leave room for; they serve two products, values one
  static constexpr int KEYS = D > 64 ? 64 : 128, OWN = D > 128 ? 1 : 2, KS = D > 128 ? 2 : 3, VS = D > 192 ? 1 : 2, TILE = KEYS * D * 2, VALUES = KEYS * V * 2;
  struct Shared {
    unsigned char q[OWN][kBlock * D * 2], dO[OWN][kBlock * V * 2], k[KS][TILE], v[VS][VALUES];
    int4 masks[KS][KEYS];
    Tiles<OWN> own;
    Tiles<KS> ks;
    Tiles<VS> vs;
  };
};

template <int D, int V> __device__ void copyQueryGrad(const Problem& p, typename QueryGrad<D, V>::Shared& s) {
  using G = QueryGrad<D, V>;
  constexpr int KEYS = G::KEYS, WIDE = KEYS / kTile;
  const Map *q = p.maps, *k = q + 1, *v = q + 2, *dO = q + 3;
  bool leads = threadIdx.x % 32 == 0;
  if (leads) acquireMap(*q), acquireMap(*k), acquireMap(*v), acquireMap(*dO);
  int heads = p.attrs.heads, items = (p.queries + kBlock - 1) / kBlock * heads, end = (p.keys + KEYS - 1) / KEYS;
  Ring<G::OWN> own;
  Ring<G::KS> ks;
  Ring<G::VS> vs;
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
      arriveWith(&s.own.full[o], sizeof(s.q[o]) + sizeof(s.dO[o]));
      copyRows<D, kBlock>(s.q[o], *q, &s.own.full[o], head, block * kBlock);
      copyRows<V, kBlock>(s.dO[o], *dO, &s.own.full[o], head, block * kBlock);
    }
    while (t < end) {
      int next = nextTile(p, t + 1, queries, WIDE), i = ks.stage, j = vs.stage;
      if (leads) {
        await(&s.ks.empty[i], ks.parity ^ 1);
        s.ks.label[i] = tileLabel(t, next >= end, allSee(p, queries, tileAt(p, t, WIDE)));
        arriveWith(&s.ks.full[i], G::TILE + KEYS * 16);
        copyRows<D, KEYS>(s.k[i], *k, &s.ks.full[i], group, t * KEYS);
        copyBytes(s.masks[i], p.masks + t * KEYS, KEYS * 16, &s.ks.full[i]);
        await(&s.vs.empty[j], vs.parity ^ 1);
        arriveWith(&s.vs.full[j], G::VALUES);
        copyRows<V, KEYS>(s.v[j], *v, &s.vs.full[j], group, t * KEYS);
      }
      __syncwarp();
      t = next;
      ks.advance(), vs.advance();
    }
  }
}

template <int D, int V, bool CAPPED> __device__ void hopperQueryGrad(const Problem& p) {
  using G = QueryGrad<D, V>;
  constexpr int KEYS = G::KEYS;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename G::Shared& s = *reinterpret_cast<typename G::Shared*>(raw);
  if (threadIdx.x == 0) {
    s.own.init(), s.ks.init(), s.vs.init();
    publishBarriers();
  }
  __syncthreads();
  if (threadIdx.x >= kGroups * 128) {
    fewerRegisters<kCopyRegisters>();
    if (threadIdx.x < kGroups * 128 + 32) copyQueryGrad<D, V>(p, s);
    return;
  }

  moreRegisters<kProductRegisters>();
  const Score<CAPPED> score(p);
  Ring<G::OWN> own;
  Ring<G::KS> ks;
  Ring<G::VS> vs;
  for (;; own.advance()) {
    int e = own.stage;
    await(&s.own.full[e], own.parity);
    int item = s.own.label[e], head = s.own.head[e];
    if (item == kEnd) return;
    int row = blockOf(item) * kBlock + threadIdx.x / 128 * 64, query[2], queryDepth[2];
    float lse2[2], delta[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      query[h] = row + threadRow() + 8 * h;
      queryDepth[h] = depthOf(p, query[h]);
      lse2[h] = p.lse2[statisticOf(p, head, query[h])];
      delta[h] = p.delta[statisticOf(p, head, query[h])];
    }
    unsigned q = sharedAddress(s.q[e]) + threadIdx.x / 128 * kBoxBytes, dO = sharedAddress(s.dO[e]) + threadIdx.x / 128 * kBoxBytes;
    Rows<D> dQ = {};
    int before = -1;
    for (bool more = hasTiles(item); more; ks.advance(), vs.advance()) {
      float x[KEYS / 2], g[KEYS / 2];
      Fragment w[KEYS / 16];
      int i = ks.stage, j = vs.stage;
      await(&s.ks.full[i], ks.parity);
      int label = s.ks.label[i];
      more = !isLast(label);
      beginProducts();
      products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[i]), KEYS);
      commitProducts();
      waitProducts<1>();
      if (before >= 0) release(&s.ks.empty[before]);
      before = i;
      await(&s.vs.full[j], vs.parity);
      beginProducts();
      products<V, KEYS>(g, dO, kBlock, sharedAddress(s.v[j]), KEYS);
      commitProducts();
      waitProducts<1>();
      settle(x);
      float slope[CAPPED ? KEYS / 2 : 1];
      if (CAPPED) {
#pragma unroll
        for (int n = 0; n < KEYS / 2; n++) x[n] = score(x[n]), slope[n] = score.slope(x[n]);
      }
#pragma unroll
      for (int n = 0; n < KEYS / 2; n++) x[n] = score.weight(x[n], lse2[n / 2 % 2]);
      if (!isWhole(label)) hide<KEYS>(x, 0, p, s.masks[i], query, queryDepth);
      waitProducts<0>();
      settle(g);
      release(&s.vs.empty[j]);
#pragma unroll
      for (int n = 0; n < KEYS / 2; n++) x[n] *= (g[n] - delta[n / 2 % 2]) * (CAPPED ? slope[n] : 1.0f);
      toWeights(w, x);
      beginProducts();
      accumulate<D, KEYS>(dQ, w, sharedAddress(s.k[i]));
      commitProducts();
    }
    release(&s.own.empty[e]);
    waitProducts<0>();
    settle(dQ);
    if (before >= 0) release(&s.ks.empty[before]);
    const float factor[2] = {p.attrs.scale, p.attrs.scale};
    storeRows<D>(p.dQ, p.dQStride, row, p.queries, p.attrs.headDim, head * p.attrs.headDim, dQ, factor);
  }
}
