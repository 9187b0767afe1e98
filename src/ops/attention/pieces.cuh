// Blocks of keys that many more queries see than others (of a beginning that rows share, the first of a long row) would have the card wait for
// them: their work is cut into pieces of about what a multiprocessor has to do in all. Each piece's dK and dV go to the scratch, in f32, and
// whoever comes last adds them, in the order of the pieces: the same bits whoever that is.
#pragma once
#include "mask.cuh"

constexpr int kShares = 132;     // HOPPER_BLOCKS of cuda.ts
constexpr int kLeastSteps = 8;   // of a piece: pairs of a head and a tile of queries

// `part` of the `parts` of a block of keys; what it sums up lies at `slot`, the block's others beside it, unless it is all
struct Piece {
  int block, part, parts, slot;
};

// The pieces of all blocks, one thread's work: the longest, first in `ranked`, are cut. `steps(block)` of `total`, of one head of keys.
// Returns how many blocks were cut into how many pieces.
template <typename Steps> __device__ int2 cutBlocks(const Problem& p, const int* ranked, int blocks, long long total, Steps steps) {
  int share = max(static_cast<int>((total * p.attrs.kvHeads + kShares - 1) / kShares), kLeastSteps), cut = 0, pieces = 0;
  for (; cut < blocks; cut++) {
    int parts = min((steps(ranked[cut]) + share / 2) / share, p.slots - pieces);
    if (parts < 2) break;
    for (int part = 0; part < parts; part++) p.keyPieces[pieces + part] = {ranked[cut], part, parts, pieces + part};
    pieces += parts;
  }
  return {cut, pieces};
}

// where the sums of a slot lie: 64 keys (`unit` of the block) of a head of keys
template <int CHANNELS> __device__ __forceinline__ float4* partAt(const Problem& p, int slot, int group, int unit) {
  return reinterpret_cast<float4*>(p.parts + ((static_cast<long long>(slot) * p.attrs.kvHeads + group) * 2 + unit) * 64 * CHANNELS);
}

// A warp's rows of `acc` (16 × D) among those of its warpgroup, in an order that only these two know.
template <typename Sums, typename Each> __device__ __forceinline__ void forEachFour(Sums& acc, float4* at, Each each) {
  constexpr int PIECES = sizeof(acc.piece) / sizeof(acc.piece[0]), FOURS = sizeof(acc.piece[0]) / 16;
#pragma unroll
  for (int n = 0; n < PIECES; n++) {
#pragma unroll
    for (int i = 0; i < FOURS; i++) each(&acc.piece[n][4 * i], at + (n * FOURS + i) * 128 + threadIdx.x % 128);
  }
}
template <typename Sums> __device__ __forceinline__ void putPart(Sums& acc, float4* at) {
  forEachFour(acc, at, [](const float* x, float4* to) { __stcg(to, make_float4(x[0], x[1], x[2], x[3])); });
}
template <typename Sums> __device__ __forceinline__ void addPart(Sums& acc, float4* at) {
  forEachFour(acc, at, [](float* x, const float4* from) {
    float4 y = __ldcg(from);
    x[0] += y.x, x[1] += y.y, x[2] += y.z, x[3] += y.w;
  });
}

// Is this warp the last of the parts to say that its sums are there? Then it sees those of all.
__device__ __forceinline__ bool comesLast(const Problem& p, const Piece& piece, int group, int unit, int which) {
  __threadfence();
  __syncwarp();
  int* arrivals = p.arrivals + (((piece.slot - piece.part) * p.attrs.kvHeads + group) * 2 + unit) * 8 + which * 4 + threadIdx.x / 32 % 4;
  int before = 0;
  if (threadIdx.x % 32 == 0) before = atomicAdd(arrivals, 1), __threadfence();
  __syncwarp();
  before = __shfl_sync(0xffffffffu, before, 0);
  __threadfence();
  return before == piece.parts - 1;
}
