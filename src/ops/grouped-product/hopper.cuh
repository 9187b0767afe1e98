// y (M, N) of grouped products in bf16 on Hopper, summed in f32 over all parts and rounded once. A tile's w is the products' first operand, its
// tokens the second: their number is one of the instruction's. One warp has tiles copied into a ring of shared memory, part after part, two bring
// the scales of NF4's codes; two warpgroups of 64 rows of w each multiply what has come, codes decoded in registers. Blocks stay and
// take tiles one after another.
#pragma once
#include "hopper-copies.cuh"
#include "hopper-products.cuh"

template <bool TRANS, bool NF4> __device__ __forceinline__ void groupedProduct(const Maps& maps, const Grouped& g) {
  extern __shared__ unsigned char raw[];
  Shared& s = *reinterpret_cast<Shared*>(raw + (-sharedAddress(raw) & 1023));
  int producer = static_cast<int>(threadIdx.x) - kConsumers;
  if (threadIdx.x < 32) {
    countTiles(g.offsets, g.offsetsStride, g.experts, kTokens, s.before);
  } else if (threadIdx.x == 32) {
    for (int p = 0; p < g.parts; p++) prefetchMap(maps.x[p]), prefetchMap(maps.w[p]);
    // a `full` hears of who copies and of the warps that bring scales, an `empty` of the eight warps that multiply
    constexpr int SCALERS = NF4 ? kScalers / 32 : 0;
    for (int i = 0; i < kStages; i++) initBarrier(&s.full[i], 1 + SCALERS), initBarrier(&s.empty[i], 8);
    for (int i = 0; i < kTiles; i++) initBarrier(&s.taken[i], 1), initBarrier(&s.read[i], 8 + SCALERS);
    publishBarriers();
  } else if (NF4 && producer >= 0) {
    int p = producer / 16;
    if (p < g.parts && g.coded(p)) s.codebooks[p][producer % 16] = g.quant[p].codebook[producer % 16];
  }
  __syncthreads();
  if (producer < 0) {
    moreRegisters<NF4 ? 224 : 232>();
    consume<TRANS, NF4>(s, g);
  } else {
    fewerRegisters<NF4 ? 56 : 40>();  // of 384 · 168, which the block begins with
    if (producer == 0) copyTiles<TRANS>(s, maps, g);
    else if (NF4 && producer >= 128 - kScalers) bringScales<TRANS>(s, g, producer - (128 - kScalers));
  }
}

#define GROUPED(SUFFIX, TRANS, NF4)                                                                                                               \
  extern "C" __global__ void __launch_bounds__(384, 1) grouped_hopper##SUFFIX(const __grid_constant__ Maps maps, const __grid_constant__ Grouped g) { \
    groupedProduct<TRANS, NF4>(maps, g);                                                                                                          \
  }
