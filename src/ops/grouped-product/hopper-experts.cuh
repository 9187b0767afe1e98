// What the kernels of grouped products on Hopper share: a block's shape, and which expert a tile is of.
#pragma once
#include "wgmma.cuh"
#include "../hopper-product.cuh"

constexpr int kHigh = 128;       // of a tile: rows of its sums, 64 for each of the two warpgroups that multiply
constexpr int kConsumers = 256;  // threads

// Of each expert, and of all: tiles before its own, and its first row.
struct Before {
  int tiles, row;
};
// by one warp; a tile has up to `tokens` of an expert's rows
__device__ __forceinline__ void countTiles(const int* offsets, int stride, int experts, int tokens, Before* to) {
  int lane = threadIdx.x % 32, before = 0;
  for (int first = 0; first < experts; first += 32) {
    int e = first + lane, own = 0, row = 0;
    if (e < experts) {
      const int* offset = offsets + static_cast<long long>(e) * stride;
      row = offset[0], own = (offset[stride] - row + tokens - 1) / tokens;
    }
    int upTo = own;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      int left = __shfl_up_sync(0xffffffffu, upTo, d);
      if (lane >= d) upTo += left;
    }
    if (e < experts) to[e] = {before + upTo - own, row};
    before += __shfl_sync(0xffffffffu, upTo, 31);
  }
  if (lane == 0) to[experts] = {before, offsets[static_cast<long long>(experts) * stride]};
}
__device__ __forceinline__ int expertOf(int tile, int experts, const Before* before) {
  int first = 0, beyond = experts;
  while (beyond - first > 1) {
    int middle = (first + beyond) / 2;
    if (before[middle].tiles <= tile) first = middle;
    else beyond = middle;
  }
  return first;
}

// this warp is done with a stage
__device__ __forceinline__ void release(Barrier* empty) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(empty);
}
