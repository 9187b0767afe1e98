// What a block of the grouped products on Hopper is told, keeps in shared memory, and which tiles it walks. A tile is 128 rows of one expert's
// w, which are columns of y, by some of the expert's tokens: 64, 128, 192 or 256, so that fewer than 64 are none of its own.
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
  int offsetsStride, yStride;
  int experts, n, parts, k[kParts];
  float alpha;
  __device__ bool coded(int part) const { return quant[part].codebook; }
  __device__ int steps(int part) const { return (k[part] + kDepth - 1) / kDepth; }
};

constexpr int kTokens = 256;      // of the largest tile
constexpr int kCodes = 64 * 32;   // bytes of 64 runs of 64 codes
constexpr int kScalers = 64;      // threads

struct Shared {
  // of a step: its tokens; 64 rows of w for each warpgroup (`trans`: its panel of 64 columns), as bf16 or as codes, one behind the other
  unsigned char x[kStages][kTokens * 128], w[kStages][2 * kBox], out[2][kBox];
  float scales[kStages][2][64];  // of the runs of codes
  Barrier full[kStages], empty[kStages];
  float codebooks[kParts][16];
  int tilesBefore[1];  // of each expert, and of all: tiles of tokens
};

struct Tile {
  int expert, row, end, chunks, column;  // tokens from `row` on, in chunks of 64; those up to `end` are the expert's. Rows of w from `column` on.
};
// An expert's tiles are beside one another, and of them those of the same rows of w.
struct Walk {
  const Grouped& g;
  const int* tilesBefore;
  int columns;
  __device__ Walk(const Grouped& g, const Shared& s) : g(g), tilesBefore(s.tilesBefore), columns((g.n + kHigh - 1) / kHigh) {}
  __device__ int count() const { return tilesBefore[g.experts] * columns; }
  __device__ Tile at(int index) const {
    int expert = expertOf(index / columns, g.experts, tilesBefore);
    const int* offset = g.offsets + static_cast<long long>(expert) * g.offsetsStride;
    int from = offset[0], end = offset[g.offsetsStride], chunks = (end - from + 63) / 64;
    // tiles of tokens, as even as chunks allow
    int own = tilesBefore[expert + 1] - tilesBefore[expert], i = index - tilesBefore[expert] * columns, tile = i % own;
    int before = tile * chunks / own, upTo = (tile + 1) * chunks / own;
    return {expert, from + before * 64, end, upTo - before, i / own * kHigh};
  }
};
