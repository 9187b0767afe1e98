// What a product q·k becomes on its way to a weight, once for every tensor-core kernel, forward and backward. Scores are kept before the
// scale: x = q·k, or with a soft cap the x' with scale · x' = cap · tanh(scale · x / cap); weights are powers of two.
#pragma once
#include "mask.cuh"

// 2^x, good to 2 units in the last place; 2^−∞ = 0
__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

template <bool CAPPED> struct Score {
  float scale2;   // scale · log2 e
  float in, out;  // of the cap
  __device__ explicit Score(const Problem& p)
      : scale2(p.attrs.scale * kLog2e), in(CAPPED ? p.attrs.scale / p.attrs.softCap : 0), out(CAPPED ? p.attrs.softCap / p.attrs.scale : 0) {}
  // tanh to 1e-7
  __device__ __forceinline__ float operator()(float product) const {
    return CAPPED ? (1.0f - __fdividef(2.0f, 1.0f + power2(2.0f * kLog2e * in * product))) * out : product;
  }
  // exp(scale · score − lse), lse in powers of two
  __device__ __forceinline__ float weight(float score, float lse2) const { return power2(score * scale2 - lse2); }
  // d score / d product
  __device__ __forceinline__ float slope(float score) const { return CAPPED ? 1.0f - score * in * score * in : 1.0f; }
};

// the sum (or maximum) over the four lanes that share a row
__device__ __forceinline__ float quadSum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ __forceinline__ float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
