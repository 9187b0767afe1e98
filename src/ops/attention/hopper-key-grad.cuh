#pragma once
#include "hopper.cuh"

template <int D> struct KeyGrad {
  // Up to 128 channels a warpgroup has 64 keys and their dK and dV. Beyond, those don't fit its registers together: a block has
  // 64 keys, one warpgroup sums their dV, the other dK.
  static constexpr bool APART = D > 128;
  static constexpr int KEYS = APART ? 64 : 128, QUERIES = 64, STAGES = APART ? 2 : 3, TILE = QUERIES * D * 2;
  struct Shared {
    unsigned char k[KEYS * D * 2], v[KEYS * D * 2], q[STAGES][TILE], dO[STAGES][TILE];
    int4 masks[STAGES][QUERIES];
    float lse2[STAGES][QUERIES], delta[STAGES][QUERIES];
    Barrier full;
    Tiles<STAGES> qs, os;
    int tile[STAGES];
  };
};

// A warpgroup's 64 keys against the queries that come: dV where VALUES, dK where KEYS.
template <int D, bool CAPPED, bool VALUES, bool OF_KEYS> __device__ __forceinline__ void sumKeys(const Problem& p, typename KeyGrad<D>::Shared& s, int first, int offset) {
  using G = KeyGrad<D>;
  constexpr int QUERIES = G::QUERIES;
  const Score<CAPPED> score(p);
  int group = blockIdx.x, d = p.attrs.headDim;
  Key key[2];
#pragma unroll
  for (int h = 0; h < 2; h++) key[h] = keyOf(p, first + offset + threadRow() + 8 * h);
  unsigned k = sharedAddress(s.k) + offset * 128, v = sharedAddress(s.v) + offset * 128;
  Rows<D> dK = {}, dV = {};
  float x[QUERIES / 2], g[QUERIES / 2];
  Fragment w[QUERIES / 16], dw[QUERIES / 16];
  Ring<G::STAGES> ring;
  await(&s.full, 0);
  for (int before = -1;; ring.advance()) {
    int i = ring.stage;
    await(&s.qs.full[i], ring.parity);
    int tile = s.tile[i];
    if (tile == kEnd) break;
    beginProducts();
    products<D, QUERIES>(x, k, G::KEYS, sharedAddress(s.q[i]), QUERIES);
    commitProducts();
    waitProducts<1>();
    if (before >= 0) release(&s.qs.empty[before]), release(&s.os.empty[before]);
    await(&s.os.full[i], ring.parity);
    if (OF_KEYS) {
      beginProducts();
      products<D, QUERIES>(g, v, G::KEYS, sharedAddress(s.dO[i]), QUERIES);
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
      for (int e = 0; e < 4; e++) x[4 * n + e] = score.weight(x[4 * n + e], e % 2 ? lse2.y : lse2.x);
    }
    if (!(tile & 1)) {
      int i0 = tile / 2 * QUERIES;
#pragma unroll
      for (int n = 0; n < QUERIES / 4; n++) {
        int c = n / 2 * 8 + threadColumn() + n % 2, depth = p.attrs.window ? s.masks[i][c].z : 0;
#pragma unroll
        for (int h = 0; h < 2; h++) {
          if (!sees(p, i0 + c, depth, key[h])) x[n / 2 * 4 + 2 * h + n % 2] = 0;
        }
      }
    }
    if (VALUES) {
      toWeights(w, x);
      beginProducts();
      accumulate<D, QUERIES>(dV, w, sharedAddress(s.dO[i]));
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
        for (int e = 0; e < 4; e++) x[4 * n + e] *= (g[4 * n + e] - (e % 2 ? delta.y : delta.x)) * (CAPPED ? slope[4 * n + e] : 1.0f);
      }
      toWeights(dw, x);
      beginProducts();
      accumulate<D, QUERIES>(dK, dw, sharedAddress(s.q[i]));
      commitProducts();
    }
    before = i;
  }
  waitProducts<0>();
  if (OF_KEYS) {
    settle(dK);
    const float factor[2] = {p.attrs.scale, p.attrs.scale};
    storeTile<D>(p.dK, p.dKStride, first + offset, p.keys, d, group * d, dK, factor);
  }
  if (VALUES) {
    settle(dV);
    const float factor[2] = {1.0f, 1.0f};
    storeTile<D>(p.dV, p.dVStride, first + offset, p.keys, d, group * d, dV, factor);
  }
}

// grid: (key heads, blocks of keys); the queries of all heads of the group pass by in order
template <int D, bool CAPPED> __device__ void hopperKeyGrad(const Problem& p) {
  using G = KeyGrad<D>;
  constexpr int KEYS = G::KEYS, QUERIES = G::QUERIES;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename G::Shared& s = *reinterpret_cast<typename G::Shared*>(raw);
  int group = blockIdx.x, heads = p.attrs.heads / p.attrs.kvHeads;
  // a block of the order may be two of ours
  int part = kBlock / KEYS, first = p.keyOrder[blockIdx.y / part] * kBlock + blockIdx.y % part * KEYS;
  if (threadIdx.x == 0) {
    initBarrier(&s.full, 1);
    s.qs.init(), s.os.init();
    publishBarriers();
  }
  __syncthreads();

  if (threadIdx.x >= kGroups * 128) {
    fewRegisters();
    if (threadIdx.x >= kGroups * 128 + 32) return;
    const unsigned char *maps = p.maps, *q = maps, *k = maps + 128, *v = maps + 256, *dO = maps + 384;
    bool leads = threadIdx.x % 32 == 0;
    if (!leads) return;
    acquireMap(q), acquireMap(k), acquireMap(v), acquireMap(dO);
    arriveWith(&s.full, sizeof(s.k) + sizeof(s.v));
    copyTile<D, KEYS>(s.k, k, &s.full, group, first);
    copyTile<D, KEYS>(s.v, v, &s.full, group, first);
    Tile keys = tileAt(p, first / KEYS, KEYS / kTile);
    int padded = (p.keys + kBlock - 1) / kBlock * kBlock;
    Ring<G::STAGES> ring;
    for (int head = group * heads; head < (group + 1) * heads; head++) {
      for (int t = keys.low / QUERIES; keys.low < keys.high && t * QUERIES < keys.high; t++) {
        Queries queries = queriesOf(p, t * QUERIES, t * QUERIES + QUERIES);
        if (!anySees(p, queries, keys)) continue;
        int i = ring.stage;
        await(&s.qs.empty[i], ring.parity ^ 1);
        s.tile[i] = 2 * t + allSee(p, queries, keys);
        arriveWith(&s.qs.full[i], G::TILE + QUERIES * (16 + 8));
        copyTile<D, QUERIES>(s.q[i], q, &s.qs.full[i], head, t * QUERIES);
        copyBytes(s.masks[i], p.masks + t * QUERIES, QUERIES * 16, &s.qs.full[i]);
        copyBytes(s.lse2[i], p.lse2 + head * padded + t * QUERIES, QUERIES * 4, &s.qs.full[i]);
        copyBytes(s.delta[i], p.delta + head * padded + t * QUERIES, QUERIES * 4, &s.qs.full[i]);
        await(&s.os.empty[i], ring.parity ^ 1);
        arriveWith(&s.os.full[i], G::TILE);
        copyTile<D, QUERIES>(s.dO[i], dO, &s.os.full[i], head, t * QUERIES);
        ring.advance();
      }
    }
    await(&s.qs.empty[ring.stage], ring.parity ^ 1);
    s.tile[ring.stage] = kEnd;
    arrive(&s.qs.full[ring.stage]);
    return;
  }
  manyRegisters();
  int wg = threadIdx.x / 128;
  if constexpr (!G::APART) sumKeys<D, CAPPED, true, true>(p, s, first, wg * 64);
  else if (wg == 0) sumKeys<D, CAPPED, true, false>(p, s, first, 0);
  else sumKeys<D, CAPPED, false, true>(p, s, first, 0);
}
