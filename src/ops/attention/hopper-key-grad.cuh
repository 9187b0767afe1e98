#pragma once
#include "hopper.cuh"

template <int D, int V> struct KeyGrad {
  // Up to 128 channels a warpgroup has 64 keys and their dK and dV. Beyond, those don't fit its registers together: a block has
  // 64 keys, one warpgroup sums their dV, the other dK.
  static constexpr bool APART = D > 128;
  static constexpr int KEYS = APART ? 64 : 128, QUERIES = 64, OWN = APART ? 1 : 2, QS = APART ? 2 : 3, OS = 2, TILE = QUERIES * D * 2, VALUES = QUERIES * V * 2;
  struct Shared {
    unsigned char k[OWN][KEYS * D * 2], v[OWN][KEYS * V * 2], q[QS][TILE], dO[OS][VALUES];
    int4 masks[QS][QUERIES];
    float lse2[QS][QUERIES], delta[QS][QUERIES];
    Tiles<OWN> own;
    Tiles<QS> qs;
    Tiles<OS> os;
  };
};

// the queries of all heads of the group pass by in order
template <int D, int V> __device__ void copyKeyGrad(const Problem& p, typename KeyGrad<D, V>::Shared& s) {
  using G = KeyGrad<D, V>;
  constexpr int KEYS = G::KEYS, QUERIES = G::QUERIES, PARTS = kBlock / KEYS;
  const Map *q = p.maps, *k = q + 1, *v = q + 2, *dO = q + 3;
  acquireMap(*q), acquireMap(*k), acquireMap(*v), acquireMap(*dO);
  int groups = p.attrs.kvHeads, heads = p.attrs.heads / groups, items = (p.keys + kBlock - 1) / kBlock * PARTS * groups;
  Ring<G::OWN> own;
  Ring<G::QS> qs;
  Ring<G::OS> os;
  for (;; own.advance()) {
    int item = atomicAdd(p.queues + 1, 1), o = own.stage;
    if (item >= items) {
      await(&s.own.empty[o], own.parity ^ 1);
      s.own.label[o] = kEnd;
      arrive(&s.own.full[o]);
      return;
    }
    int group = item % groups, rank = item / groups, block = p.keyOrder[rank / PARTS] * PARTS + rank % PARTS;
    Tile keys = tileAt(p, block, KEYS / kTile);
    // the first pair of a head and a tile of queries, from (head, t) on, of which a query sees a key; else no tile of the last head
    int head = group * heads, last = head + heads - 1, end = keys.low < keys.high ? (keys.high + QUERIES - 1) / QUERIES : 0, t = keys.low / QUERIES;
    auto seek = [&](int& head, int& t) {
      for (;; t++) {
        if (t >= end && head < last && end) head++, t = keys.low / QUERIES;
        if (t >= end || anySees(p, queriesOf(p, t * QUERIES, (t + 1) * QUERIES), keys)) return t < end;
      }
    };
    bool some = seek(head, t);
    await(&s.own.empty[o], own.parity ^ 1);
    s.own.label[o] = 2 * block + some, s.own.head[o] = group;
    arriveWith(&s.own.full[o], sizeof(s.k[o]) + sizeof(s.v[o]));
    copyRows<D, KEYS>(s.k[o], *k, &s.own.full[o], group, block * KEYS);
    copyRows<V, KEYS>(s.v[o], *v, &s.own.full[o], group, block * KEYS);
    while (some) {
      int i = qs.stage, j = os.stage, nextHead = head, next = t + 1;
      some = seek(nextHead, next);
      await(&s.qs.empty[i], qs.parity ^ 1);
      s.qs.label[i] = tileLabel(t, !some, allSee(p, queriesOf(p, t * QUERIES, (t + 1) * QUERIES), keys));
      arriveWith(&s.qs.full[i], G::TILE + QUERIES * (16 + 8));
      copyRows<D, QUERIES>(s.q[i], *q, &s.qs.full[i], head, t * QUERIES);
      copyBytes(s.masks[i], p.masks + t * QUERIES, QUERIES * 16, &s.qs.full[i]);
      copyBytes(s.lse2[i], p.lse2 + statisticOf(p, head, t * QUERIES), QUERIES * 4, &s.qs.full[i]);
      copyBytes(s.delta[i], p.delta + statisticOf(p, head, t * QUERIES), QUERIES * 4, &s.qs.full[i]);
      await(&s.os.empty[j], os.parity ^ 1);
      arriveWith(&s.os.full[j], G::VALUES);
      copyRows<V, QUERIES>(s.dO[j], *dO, &s.os.full[j], head, t * QUERIES);
      head = nextHead, t = next;
      qs.advance(), os.advance();
    }
  }
}

// A warpgroup's 64 keys, `offset` into each block, against the queries that come: dV where VALUES, dK where OF_KEYS.
template <int D, int V, bool CAPPED, bool VALUES, bool OF_KEYS> __device__ __forceinline__ void sumKeys(const Problem& p, typename KeyGrad<D, V>::Shared& s, int offset) {
  using G = KeyGrad<D, V>;
  constexpr int QUERIES = G::QUERIES;
  const Score<CAPPED> score(p);
  Ring<G::OWN> own;
  Ring<G::QS> qs;
  Ring<G::OS> os;
  for (;; own.advance()) {
    int e = own.stage;
    await(&s.own.full[e], own.parity);
    int item = s.own.label[e], group = s.own.head[e];
    if (item == kEnd) return;
    int row = blockOf(item) * G::KEYS + offset, d = p.attrs.headDim;
    Key key[2];
#pragma unroll
    for (int h = 0; h < 2; h++) key[h] = keyOf(p, row + threadRow() + 8 * h);
    unsigned k = sharedAddress(s.k[e]) + offset * 128, v = sharedAddress(s.v[e]) + offset * 128;
    Rows<D> dK = {};
    Rows<V> dV = {};
    int before = -1, beforeO = -1;
    for (bool more = hasTiles(item); more; qs.advance(), os.advance()) {
      float x[QUERIES / 2], g[QUERIES / 2];
      Fragment w[QUERIES / 16], dw[QUERIES / 16];
      int i = qs.stage, j = os.stage;
      await(&s.qs.full[i], qs.parity);
      int label = s.qs.label[i];
      more = !isLast(label);
      beginProducts();
      products<D, QUERIES>(x, k, G::KEYS, sharedAddress(s.q[i]), QUERIES);
      commitProducts();
      waitProducts<1>();
      if (before >= 0) release(&s.qs.empty[before]), release(&s.os.empty[beforeO]);
      before = i, beforeO = j;
      await(&s.os.full[j], os.parity);
      if (OF_KEYS) {
        beginProducts();
        products<V, QUERIES>(g, v, G::KEYS, sharedAddress(s.dO[j]), QUERIES);
        commitProducts();
        waitProducts<1>();
      } else {
        waitProducts<0>();
      }
      settle(x);
      float slope[CAPPED ? QUERIES / 2 : 1];
      if (CAPPED) {
#pragma unroll
        for (int n = 0; n < QUERIES / 2; n++) x[n] = score(x[n]), slope[n] = score.slope(x[n]);
      }
#pragma unroll
      for (int n = 0; n < QUERIES / 8; n++) {
        float2 lse2 = *reinterpret_cast<const float2*>(&s.lse2[i][n * 8 + threadColumn()]);
#pragma unroll
        for (int a = 0; a < 4; a++) x[4 * n + a] = score.weight(x[4 * n + a], a % 2 ? lse2.y : lse2.x);
      }
      if (!isWhole(label)) {
        int first = tileOf(label) * QUERIES;
#pragma unroll
        for (int n = 0; n < QUERIES / 4; n++) {
          int c = n / 2 * 8 + threadColumn() + n % 2, depth = p.attrs.window ? s.masks[i][c].z : 0;
#pragma unroll
          for (int h = 0; h < 2; h++) {
            if (!sees(p, first + c, depth, key[h])) x[n / 2 * 4 + 2 * h + n % 2] = 0;
          }
        }
      }
      if (VALUES) {
        toWeights(w, x);
        beginProducts();
        accumulate<V, QUERIES>(dV, w, sharedAddress(s.dO[j]));
        commitProducts();
      }
      if (OF_KEYS) {
        if (VALUES) waitProducts<1>();
        else waitProducts<0>();
        settle(g);
#pragma unroll
        for (int n = 0; n < QUERIES / 8; n++) {
          float2 delta = *reinterpret_cast<const float2*>(&s.delta[i][n * 8 + threadColumn()]);
#pragma unroll
          for (int a = 0; a < 4; a++) x[4 * n + a] *= (g[4 * n + a] - (a % 2 ? delta.y : delta.x)) * (CAPPED ? slope[4 * n + a] : 1.0f);
        }
        toWeights(dw, x);
        beginProducts();
        accumulate<D, QUERIES>(dK, dw, sharedAddress(s.q[i]));
        commitProducts();
      }
    }
    release(&s.own.empty[e]);
    waitProducts<0>();
    if (before >= 0) release(&s.qs.empty[before]), release(&s.os.empty[beforeO]);
    if (OF_KEYS) {
      settle(dK);
      const float factor[2] = {p.attrs.scale, p.attrs.scale};
      storeRows<D>(p.dK, p.dKStride, row, p.keys, d, group * d, dK, factor);
    }
    if (VALUES) {
      settle(dV);
      const float factor[2] = {1.0f, 1.0f};
      storeRows<V>(p.dV, p.dVStride, row, p.keys, p.attrs.valueDim, group * p.attrs.valueDim, dV, factor);
    }
  }
}

template <int D, int V, bool CAPPED> __device__ void hopperKeyGrad(const Problem& p) {
  using G = KeyGrad<D, V>;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename G::Shared& s = *reinterpret_cast<typename G::Shared*>(raw);
  if (threadIdx.x == 0) {
    s.own.init(), s.qs.init(), s.os.init();
    publishBarriers();
  }
  __syncthreads();
  if (threadIdx.x >= kGroups * 128) {
    fewerRegisters<kCopyRegisters>();
    if (threadIdx.x == kGroups * 128) copyKeyGrad<D, V>(p, s);
    return;
  }
  moreRegisters<kProductRegisters>();
  int group = threadIdx.x / 128;
  if constexpr (!G::APART) sumKeys<D, V, CAPPED, true, true>(p, s, group * 64);
  else if (group == 0) sumKeys<D, V, CAPPED, true, false>(p, s, 0);
  else sumKeys<D, V, CAPPED, false, true>(p, s, 0);
}
