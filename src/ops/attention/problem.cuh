// What every attention kernel is given: one struct, filled by cuda.ts in this order. Tensors are (rows, heads · headDim), v, o and their gradients
// (rows, heads · valueDim), with strides of their own.
#pragma once
#include "../cuda.cuh"
#include "attrs.cuh"

constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
__device__ __forceinline__ float negativeInfinity() { return __int_as_float(0xff800000); }

constexpr int kTile = 64;
constexpr int kBlock = 128;

// What the masks of kTile keys have in common; `shallow` and `deep` are their least and greatest depth.
struct Tile {
  int low, high;        // the smallest from and the largest until of keys that anyone sees: nobody else sees any
  int latest, soonest;  // the largest from and the smallest until: who lies between sees all
  int shallow, deep;
  int unused[2];
};

struct Map;    // of ../hopper.cuh
struct Piece;  // of pieces.cuh

struct Problem {
  const void *q, *k, *v, *dO;
  void *o, *dQ, *dK, *dV;
  float *lse, *delta;  // (T, H); delta = Σ_c dO · o
  const int *from, *until, *depth;
  const void* sinks;  // (1, H) in f32, or in bf16; null: none
  // Of the tensor cores' kernels; past the end padded to whole blocks. There delta lies (H, padded), as does lse2 = lse · log2 e.
  Tile* tiles;
  int4* masks;  // from, until and depth of each token
  float* lse2;
  int *queryOrder, *keyOrder;  // blocks, those with the most to do first
  int* queues;                 // Hopper: the next item of queries and of keys that nobody works on, and how many pieces of keys there are
  Map* maps;                   // Hopper: tensor maps of q, k, v and dO
  Piece* keyPieces;            // Hopper, backward: blocks of keys or parts of them, the longest first
  int* arrivals;               // parts of a block that are summed up, of each 16 keys of a head
  float* parts;                // their sums
  int qStride, kStride, vStride, dOStride, oStride, dQStride, dKStride, dVStride, lseStride;
  int queries, keys, sinksInBf16, slots;  // parts that there is room for
  attention_attrs attrs;  // those of attention_backward are the same
};

// What a query's softmax holds before it has seen a key: nothing, or its head's sink. Scores are kept before the scale.
struct Begin {
  float top, total;
};
__device__ __forceinline__ float sinkOf(const Problem& p, int head) {
  return p.sinksInBf16 ? toFloat(static_cast<const bf16*>(p.sinks)[head]) : static_cast<const float*>(p.sinks)[head];
}
__device__ __forceinline__ Begin beginOf(const Problem& p, int head) {
  if (!p.sinks) return {negativeInfinity(), 0.0f};
  float sink = sinkOf(p, head);
  return {sink / p.attrs.scale, sink == negativeInfinity() ? 0.0f : 1.0f};
}

// where in delta and lse2 a token of a head lies
__device__ __forceinline__ long long statisticOf(const Problem& p, int head, int token) {
  return static_cast<long long>(head) * ((p.keys + kBlock - 1) / kBlock * kBlock) + token;
}
