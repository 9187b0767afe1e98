// What a block of the grouped products on Hopper is told, keeps in shared memory, and which tiles it walks. A tile is 128 rows of one expert's
// w, which are columns of y, by some of the expert's tokens: 64, 128, 192, 256 or, beside codes, 320, so that fewer than 64 are none of its own.
#pragma once
#include "hopper-experts.cuh"
#include "../nf4.cuh"
#include "../hopper-product.cuh"

constexpr int kParts = 8;
struct Maps {
  Map x[kParts], w[kParts];
};
struct Grouped {
  Quant quant[kParts];  // no codebook: w is bf16
  const int* offsets;
  bf16* y;
  int* next;  // the tile that nobody has taken yet
  int offsetsStride, yStride;
  int experts, n, parts, k[kParts];
  float alpha;
  __device__ bool coded(int part) const { return quant[part].codebook; }
  __device__ int steps(int part) const { return (k[part] + kDepth - 1) / kDepth; }
};

template <bool NF4> constexpr int kTokens = NF4 ? 320 : 256;  // of the largest tile: what takes long to decode is decoded for as many as registers allow
template <bool NF4> constexpr int kStages = NF4 ? 3 : 4;      // of the ring
constexpr int kSlots = 3;         // of the ring of w that was codes
constexpr int kCodeStages = 7;    // of the ring of codes
constexpr int kScalers = 64;      // threads
constexpr int kCodes = 64 * 32;   // bytes of 64 runs of 64 codes

// Tokens from `row` on, in chunks of 64; those up to `end` are the expert's. Rows of w from `column` on. No chunks: there are no more tiles.
struct Tile {
  int expert, row, end, chunks, column;
};
constexpr int kTiles = 2;  // that are known ahead

// a step's codes and their scales, and how far they and w are that is made of them
template <bool NF4> struct Coded {};
template <> struct Coded<true> {
  unsigned char codes[kCodeStages][2 * kCodes];
  float scales[kCodeStages][2 * 64], codebooks[kParts][16];
  Barrier full[kCodeStages], empty[kCodeStages], decoded[kSlots], free[kSlots];
};

// Of a step: its tokens; 64 rows of w for each warpgroup (`trans`: its panel of 64 columns), one behind the other. w in bf16 comes with the tokens, w in
// codes has a ring of its own.
template <bool NF4> struct Shared {
  unsigned char x[kStages<NF4>][kTokens<NF4> * 128], w[NF4 ? kSlots : kStages<NF4>][2 * kBox], out[2][kBox];
  Coded<NF4> coded;
  Barrier full[kStages<NF4>], empty[kStages<NF4>], taken[kTiles], read[kTiles];
  Tile tiles[kTiles];
  Before before[1];
};

// An expert's tiles are beside one another, and of them those of the same rows of w.
__device__ __forceinline__ Tile tileAt(const Grouped& g, const Before* before, int index) {
  int columns = (g.n + kHigh - 1) / kHigh;
  if (index >= before[g.experts].tiles * columns) return {};
  int expert = expertOf(index / columns, g.experts, before);
  Before ours = before[expert], beyond = before[expert + 1];
  // tiles of tokens, as even as chunks allow
  int own = beyond.tiles - ours.tiles, chunks = (beyond.row - ours.row + 63) / 64, i = index - ours.tiles * columns, tile = i % own;
  int from = tile * chunks / own, to = (tile + 1) * chunks / own;
  return {expert, ours.row + from * 64, beyond.row, to - from, i / own * kHigh};
}

// Tiles are taken when a block gets to them, since they take different times; who takes which changes no bit. One warp takes them for all.
struct Taker {
  Ring<kTiles> ring;
  template <bool NF4> __device__ __forceinline__ Tile next(Shared<NF4>& s, const Grouped& g) {
    bool first = threadIdx.x % 32 == 0;
    await(&s.read[ring.stage], ring.parity ^ 1);
    Tile t = tileAt(g, s.before, __shfl_sync(0xffffffffu, first ? atomicAdd(g.next, 1) : 0, 0));
    if (first) {
      s.tiles[ring.stage] = t;
      arrive(&s.taken[ring.stage]);
    }
    __syncwarp();
    ring.advance();
    return t;
  }
};
// what it took, by whole warps
struct Follower {
  Ring<kTiles> ring;
  template <bool NF4> __device__ __forceinline__ Tile next(Shared<NF4>& s, const Grouped&) {
    await(&s.taken[ring.stage], ring.parity);
    Tile t = s.tiles[ring.stage];
    release(&s.read[ring.stage]);
    ring.advance();
    return t;
  }
};
