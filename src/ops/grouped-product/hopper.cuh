// y (M, N) of grouped products in bf16 on Hopper, summed in f32 over all parts and rounded once. A tile's w is the products' first operand, its
// tokens the second: their number is one of the instruction's. One warp has tiles copied into a ring of shared memory, part after part; of NF4's codes
// another, two bring their scales, and four make w in bf16 of both. Two warpgroups of 64 rows of w each multiply what has come. Blocks stay and take
// tiles one after another.
#pragma once
#include "hopper-codes.cuh"
#include "hopper-products.cuh"

// Who multiplies, who decodes, who copies: 256 threads, 128 where w is in codes, 128.
template <bool NF4> constexpr int kThreads = NF4 ? 512 : 384;

template <bool TRANS, bool NF4> __device__ __forceinline__ void groupedProduct(const Maps& maps, const Grouped& g) {
  extern __shared__ unsigned char raw[];
  Shared<NF4>& s = *reinterpret_cast<Shared<NF4>*>(raw + (-sharedAddress(raw) & 1023));
  int thread = threadIdx.x, producer = thread - (kThreads<NF4> - 128);
  if (thread < 32) {
    countTiles(g.offsets, g.offsetsStride, g.experts, kTokens<NF4>, s.before);
  } else if (thread == 32) {
    for (int p = 0; p < g.parts; p++) prefetchMap(maps.x[p]), prefetchMap(maps.w[p]);
    // A tile is read by eight warps that multiply; beside codes by four that decode, two that bring scales and one that copies tokens. A `full` of
    // codes hears of who copies them and of the scales.
    constexpr int READERS = NF4 ? 8 + 4 + kScalers / 32 + 1 : 8;
    for (int i = 0; i < kStages<NF4>; i++) initBarrier(&s.full[i], 1), initBarrier(&s.empty[i], 8);
    for (int i = 0; i < kTiles; i++) initBarrier(&s.taken[i], 1), initBarrier(&s.read[i], READERS);
    if constexpr (NF4) {
      for (int i = 0; i < kCodeStages; i++) initBarrier(&s.coded.full[i], 1 + kScalers / 32), initBarrier(&s.coded.empty[i], 4);
      for (int i = 0; i < kSlots; i++) initBarrier(&s.coded.decoded[i], 4), initBarrier(&s.coded.free[i], 8);
    }
    publishBarriers();
  }
  if constexpr (NF4) {
    int p = producer / 16;
    if (producer >= 0 && p < g.parts && g.coded(p)) s.coded.codebooks[p][producer % 16] = g.quant[p].codebook[producer % 16];
  }
  __syncthreads();
  if (thread < kConsumers) {
    moreRegisters<NF4 ? 200 : 232>();
    consume<TRANS>(s, g);
  } else if (producer >= 0) {
    fewerRegisters<NF4 ? 48 : 40>();
    if constexpr (!NF4) {
      if (producer < 32) copyTokens<TRANS>(s, maps, g, Taker());
    } else if (producer < 32) {
      copyTokens<TRANS>(s, maps, g, Follower());
    } else if (producer < 64) {
      copyCodes<TRANS>(s, maps, g);
    } else {
      bringScales<TRANS>(s, g, producer - 64);
    }
  } else if constexpr (NF4) {
    fewerRegisters<64>();
    decodeWeights<TRANS>(s, maps, g, thread - kConsumers);
  }
}

#define GROUPED(SUFFIX, TRANS, NF4)                                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads<NF4>, 1)                                     \
      grouped_hopper##SUFFIX(const __grid_constant__ Maps maps, const __grid_constant__ Grouped g) { \
    groupedProduct<TRANS, NF4>(maps, g);                                                            \
  }
