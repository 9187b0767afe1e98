// What both kernels of paged attention are told, and how parts of a sum over keys become one.
#pragma once
#include "../cuda.cuh"
#include "attrs.cuh"

struct Paged {
  const void *q, *k, *v;
  void* o;
  float* lse;
  const int *position, *pages;
  const void* sinks;  // (1, H) in f32, or in bf16; null: none
  int qStride, kStride, vStride, oStride, lseStride, positionStride, pagesStride, sinksInBf16;
  paged_attention_attrs attrs;
};

__device__ __forceinline__ float lowest() { return __int_as_float(0xff800000); }
__device__ __forceinline__ float sinkOf(const Paged& p, int head) {
  if (!p.sinks) return lowest();
  return p.sinksInBf16 ? toFloat(static_cast<const bf16*>(p.sinks)[head]) : static_cast<const float*>(p.sinks)[head];
}
