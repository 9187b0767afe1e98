// What a kernel reads of an NF4 weight's quantisation: `quantArgs` in cuda-launch.ts. Two codes a byte, the even element in the high nibble.
#pragma once

struct Quant {
  const float* codebook;
  const float* absmax;  // null: nested, in the four below
  const unsigned char* absmax8;
  const float* code2;
  const float* absmax2;
  float offset;
  int blocksize, blocksize2, padding;
  // of a block, in f32; nested: a product, then a separate sum, each rounded, as bitsandbytes has it (no fused multiply-add)
  __device__ __forceinline__ float scale(long long block) const {
    return absmax ? absmax[block] : __fadd_rn(__fmul_rn(code2[absmax8[block]], absmax2[block / blocksize2]), offset);
  }
};
