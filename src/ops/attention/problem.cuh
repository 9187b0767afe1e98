// What every attention kernel is given: one struct, filled by cuda.ts in this order. Tensors are (rows, heads · headDim) with strides of their own.
#pragma once
#include "../cuda.cuh"
#include "attrs.cuh"

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
__device__ __forceinline__ float negativeInfinity() { return __int_as_float(0xff800000); }

constexpr int kTile = 64;

// What the masks of kTile keys have in common; `shallow` and `deep` are their least and greatest depth.
struct Tile {
  int low, high;        // the smallest from and the largest until of keys that anyone sees: nobody else sees any
  int latest, soonest;  // the largest from and the smallest until: who lies between sees all
  int shallow, deep;
  int unused[2];
};

struct Problem {
  const void *q, *k, *v, *dO;
  void *o, *dQ, *dK, *dV;
  float *lse, *delta;  // (T, H); delta = Σ_c dO · o
  const int *from, *until, *depth, *queryStart;
  Tile* tiles;
  // for Hopper's kernels, past the end padded to whole blocks of 128 tokens: delta lies (H, padded) as does lse · log2 e; (from, until, depth)
  // of each token; blocks of queries and of keys with the longest first; four tensor maps
  float* lse2;
  int4* masks;
  int *queryOrder, *keyOrder;
  unsigned char* maps;
  int qStride, kStride, vStride, dOStride, oStride, dQStride, dKStride, dVStride, lseStride;
  int queries, keys;
  attention_attrs attrs;  // those of attention_backward are the same
};
