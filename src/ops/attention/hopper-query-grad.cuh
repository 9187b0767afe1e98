#pragma once
#include "hopper.cuh"

template <int D> struct QueryGrad {
  // as many keys as the registers leave room for; they serve two products, values one
  static constexpr int KEYS = D > 64 ? 64 : 128, KS = D > 128 ? 2 : 3, VS = D > 192 ? 1 : KS, TILE = KEYS * D * 2;
  struct Shared {
    unsigned char q[kBlock * D * 2], dO[kBlock * D * 2], k[KS][TILE], v[VS][TILE];
    int4 masks[KS][KEYS];
    Barrier full;
    Tiles<KS> ks;
    Tiles<VS> vs;
    int tile[KS];
  };
};

// grid: (heads, query blocks)
template <int D, bool CAPPED> __device__ void hopperQueryGrad(const Problem& p) {
  using G = QueryGrad<D>;
  constexpr int KEYS = G::KEYS;
  extern __shared__ __align__(1024) unsigned char raw[];
  typename G::Shared& s = *reinterpret_cast<typename G::Shared*>(raw);
  int head = blockIdx.x, group = head / (p.attrs.heads / p.attrs.kvHeads);
  int first = p.queryOrder[blockIdx.y] * kBlock;
  if (threadIdx.x == 0) {
    initBarrier(&s.full, 1);
    s.ks.init(), s.vs.init();
    publishBarriers();
  }
  __syncthreads();

  if (threadIdx.x >= kGroups * 128) {
    fewRegisters();
    if (threadIdx.x >= kGroups * 128 + 32) return;
    const unsigned char *maps = p.maps, *q = maps, *k = maps + 128, *v = maps + 256, *dO = maps + 384;
    bool leads = threadIdx.x % 32 == 0;
    if (leads) {
      acquireMap(q), acquireMap(k), acquireMap(v), acquireMap(dO);
      arriveWith(&s.full, sizeof(s.q) + sizeof(s.dO));
      copyTile<D, kBlock>(s.q, q, &s.full, head, first);
      copyTile<D, kBlock>(s.dO, dO, &s.full, head, first);
    }
    Queries queries = queriesOf(p, first, first + kBlock);
    int end = (p.keys + KEYS - 1) / KEYS;
    Ring<G::KS> kRing;
    Ring<G::VS> vRing;
    for (int t = -1; t < end; kRing.advance(), vRing.advance()) {
      t = nextTile(p, t + 1, queries, KEYS / kTile);
      if (leads) {
        int i = kRing.stage, j = vRing.stage;
        await(&s.ks.empty[i], kRing.parity ^ 1);
        if (t < end) {
          s.tile[i] = 2 * t + allSee(p, queries, tileAt(p, t, KEYS / kTile));
          arriveWith(&s.ks.full[i], G::TILE + KEYS * 16);
          copyTile<D, KEYS>(s.k[i], k, &s.ks.full[i], group, t * KEYS);
          copyBytes(s.masks[i], p.masks + t * KEYS, KEYS * 16, &s.ks.full[i]);
          await(&s.vs.empty[j], vRing.parity ^ 1);
          arriveWith(&s.vs.full[j], G::TILE);
          copyTile<D, KEYS>(s.v[j], v, &s.vs.full[j], group, t * KEYS);
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
  int row = first + threadIdx.x / 128 * 64, padded = gridDim.y * kBlock, query[2], queryDepth[2];
  float lse2[2], delta[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    query[h] = row + threadRow() + 8 * h;
    queryDepth[h] = depthOf(p, query[h]);
    lse2[h] = p.lse2[head * padded + query[h]];
    delta[h] = p.delta[head * padded + query[h]];
  }
  unsigned q = sharedAddress(s.q) + threadIdx.x / 128 * kBoxBytes, dO = sharedAddress(s.dO) + threadIdx.x / 128 * kBoxBytes;
  Rows<D> dQ = {};
  float x[KEYS / 2], g[KEYS / 2];
  Fragment w[KEYS / 16];
  Ring<G::KS> kRing;
  Ring<G::VS> vRing;
  await(&s.full, 0);
  for (int before = -1;; kRing.advance(), vRing.advance()) {
    int i = kRing.stage, j = vRing.stage;
    await(&s.ks.full[i], kRing.parity);
    int tile = s.tile[i];
    if (tile == kEnd) break;
    beginProducts();
    products<D, KEYS>(x, q, kBlock, sharedAddress(s.k[i]), KEYS);
    commitProducts();
    waitProducts<1>();
    if (before >= 0) release(&s.ks.empty[before]);
    await(&s.vs.full[j], vRing.parity);
    beginProducts();
    products<D, KEYS>(g, dO, kBlock, sharedAddress(s.v[j]), KEYS);
    commitProducts();
    waitProducts<1>();
    settle(x);
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++) {
      if (CAPPED) x[n] = score(x[n]);
    }
    float slope[CAPPED ? KEYS / 2 : 1];
    if (CAPPED) {
#pragma unroll
      for (int n = 0; n < KEYS / 2; n++) slope[n] = score.slope(x[n]);
    }
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++) x[n] = score.weight(x[n], lse2[n / 2 % 2]);
    if (!(tile & 1)) {
#pragma unroll
      for (int n = 0; n < KEYS / 4; n++) {
        int4 key = s.masks[i][n / 2 * 8 + threadColumn() + n % 2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          if (!sees(p, query[h], queryDepth[h], {key.x, key.y, key.z})) x[n / 2 * 4 + 2 * h + n % 2] = 0;
        }
      }
    }
    waitProducts<0>();
    settle(g);
    release(&s.vs.empty[j]);
#pragma unroll
    for (int n = 0; n < KEYS / 2; n++) x[n] *= (g[n] - delta[n / 2 % 2]) * (CAPPED ? slope[n] : 1.0f);
    toWeights(w, x);
    beginProducts();
    accumulate<D, KEYS>(dQ, w, sharedAddress(s.k[i]));
    commitProducts();
    before = i;
  }
  waitProducts<0>();
  settle(dQ);
  const float factor[2] = {p.attrs.scale, p.attrs.scale};
  storeTile<D>(p.dQ, p.dQStride, row, p.queries, p.attrs.headDim, head * p.attrs.headDim, dQ, factor);
}
