// What every attention kernel is given: one struct, filled by cuda.ts in this order. Tensors are (rows, heads · headDim) with strides of their own.
#pragma once
#include "../cuda.cuh"
#include "attrs.cuh"

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
__device__ __forceinline__ float negativeInfinity() { return __int_as_float(0xff800000); }

struct Problem {
  const void *q, *k, *v, *dO;
  void *o, *dQ, *dK, *dV;
  float *lse, *delta;  // (T, H); delta = Σ_c dO · o
  const int *from, *until, *depth, *queryStart;
  int4* tiles;  // of 64 keys each: smallest from, largest until, largest from, smallest until
  int qStride, kStride, vStride, dOStride, oStride, dQStride, dKStride, dVStride, lseStride;
  int queries, keys;
  attention_attrs attrs;  // those of attention_backward are the same
};

constexpr int kTile = 64;

// A token's side of the mask. A key past the end is seen by nobody.
struct Key {
  int from, until, depth;
};
__device__ __forceinline__ Key keyOf(const Problem& p, int j) {
  if (j >= p.keys) return {0x7fffffff, 0, 0};
  return {p.from[j], p.until[j], p.attrs.window ? p.depth[j] : 0};
}
__device__ __forceinline__ bool sees(const Problem& p, int query, int queryDepth, const Key& key) {
  return key.from <= query && query < key.until && (p.attrs.window == 0 || queryDepth - key.depth < p.attrs.window);
}

// the first tile from `t` on of which queries [q0, q1) may see a key; every lane of a warp gets the same answer
__device__ __forceinline__ int nextTile(const Problem& p, int t, int q0, int q1) {
  int tiles = (p.keys + kTile - 1) / kTile;
  for (; t < tiles; t += 32) {
    int mine = t + threadIdx.x % 32;
    int4 s = mine < tiles ? p.tiles[mine] : make_int4(0x7fffffff, 0, 0, 0);
    unsigned any = __ballot_sync(0xffffffffu, s.x < q1 && s.y > q0);
    if (any) return t + __ffs(any) - 1;
  }
  return tiles;
}
