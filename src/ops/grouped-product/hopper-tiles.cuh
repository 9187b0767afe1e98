// What a block of the grouped products on Hopper is told, keeps in shared memory, and which tiles it walks. A tile is 128 rows of one expert's
// w, which are columns of y, by some of the expert's tokens: 64, 128, 192 or 256, so that fewer than 64 are none of its own.
#pragma once
#include "wgmma.cuh"
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

constexpr int kHigh = 128, kTokens = 256;          // of the largest tile
constexpr int kStages = 4, kCodes = 64 * 32;       // bytes of 64 runs of 64 codes
constexpr int kConsumers = 256, kScalers = 64;     // threads

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
    int high = index / columns, first = 0, beyond = g.experts;
    while (beyond - first > 1) {
      int middle = (first + beyond) / 2;
      if (tilesBefore[middle] <= high) first = middle;
      else beyond = middle;
    }
    const int* offset = g.offsets + static_cast<long long>(first) * g.offsetsStride;
    int from = offset[0], end = offset[g.offsetsStride], chunks = (end - from + 63) / 64;
    // tiles of tokens, as even as chunks allow
    int own = tilesBefore[first + 1] - tilesBefore[first], i = index - tilesBefore[first] * columns, tile = i % own;
    int before = tile * chunks / own, upTo = (tile + 1) * chunks / own;
    return {first, from + before * 64, end, upTo - before, i / own * kHigh};
  }
};
// by one warp
__device__ __forceinline__ void countTiles(const Grouped& g, int* tilesBefore) {
  int lane = threadIdx.x % 32, before = 0;
  for (int first = 0; first < g.experts; first += 32) {
    int e = first + lane, own = 0;
    if (e < g.experts) {
      const int* offset = g.offsets + static_cast<long long>(e) * g.offsetsStride;
      own = (offset[g.offsetsStride] - offset[0] + kTokens - 1) / kTokens;
    }
    int upTo = own;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      int left = __shfl_up_sync(0xffffffffu, upTo, d);
      if (lane >= d) upTo += left;
    }
    if (e < g.experts) tilesBefore[e] = before + upTo - own;
    before += __shfl_sync(0xffffffffu, upTo, 31);
  }
  if (lane == 0) tilesBefore[g.experts] = before;
}
