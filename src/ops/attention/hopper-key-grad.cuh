#pragma once
#include "hopper.cuh"
#include "pieces.cuh"

template <int D, int V> struct KeyGrad {
  // Up to 128 channels a warpgroup has 64 keys and their dK and dV. Beyond, those don't fit its registers together: a block has
  // 64 keys, one warpgroup sums their dV, the other dK.
  static constexpr bool APART = D > 128;
  static constexpr int KEYS = APART ? 64 : 128, QUERIES = 64, OWN = APART ? 1 : 2, QS = APART ? 2 : 3, OS = 2, TILE = QUERIES * D * 2, VALUES = QUERIES * V * 2;
  struct Shared {
    unsigned char k[OWN][KEYS * D * 2], v[OWN][KEYS * V * 2], q[QS][TILE], dO[OS][VALUES];
    int4 masks[QS][QUERIES];
    Piece piece[OWN];
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
  int groups = p.attrs.kvHeads, heads = p.attrs.heads / groups, items = p.queues[2] * PARTS * groups;
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
    int group = item % groups, rank = item / groups;
    const Piece& piece = p.keyPieces[rank / PARTS];
    int block = piece.block * PARTS + rank % PARTS;
    Tile keys = tileAt(p, block, KEYS / kTile);
    // Pairs of a head and a tile of queries, one after the other: this piece has those from (head, t) to before (last, stop).
    int first = keys.low / QUERIES, end = keys.low < keys.high ? (keys.high + QUERIES - 1) / QUERIES : first, head, t, last, stop;
    {
      int span = max(end - first, 1), pairs = heads * (end - first), from = pairs * piece.part / piece.parts, until = pairs * (piece.part + 1) / piece.parts;
      head = group * heads + from / span, t = first + from % span;
      last = from < until ? group * heads + (until - 1) / span : head, stop = from < until ? first + (until - 1) % span + 1 : t;
    }
    // the first from there on of which a query sees a key, if there is one
    auto seek = [&](int& head, int& t) {
      for (;; t++) {
        if (t == end && head < last) head++, t = first;
        if (head == last && t == stop) return false;
        if (anySees(p, queriesOf(p, t * QUERIES, (t + 1) * QUERIES), keys)) return true;
      }
    };
    bool some = seek(head, t);
    await(&s.own.empty[o], own.parity ^ 1);
    s.own.label[o] = 2 * block + some, s.own.head[o] = group, s.piece[o] = piece;
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
    Piece piece = s.piece[e];
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
    if (OF_KEYS) settle(dK);
    if (VALUES) settle(dV);
    if (piece.parts > 1) {
      constexpr int CHANNELS = D + V;
      int unit = row % kBlock / 64;
      float4* sums = partAt<CHANNELS>(p, piece.slot, group, unit);
      if (VALUES) putPart(dV, sums);
      if (OF_KEYS) putPart(dK, sums + 16 * V);
      if (!comesLast(p, piece, group, unit, !VALUES)) continue;
      dV = {}, dK = {};
#pragma unroll 1
      for (int part = 0; part < piece.parts; part++) {
        sums = partAt<CHANNELS>(p, piece.slot - piece.part + part, group, unit);
        if (VALUES) addPart(dV, sums);
        if (OF_KEYS) addPart(dK, sums + 16 * V);
      }
    }
    if (OF_KEYS) {
      const float factor[2] = {p.attrs.scale, p.attrs.scale};
      storeRows<D>(p.dK, p.dKStride, row, p.keys, d, group * d, dK, factor);
    }
    if (VALUES) {
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
