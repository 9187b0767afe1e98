// Hopper's three kernels for heads of up to D channels, of values up to V, under their names; a source of two lines each says which it is. Others
// get nothing.
#pragma once
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "hopper-forward.cuh"
#include "hopper-key-grad.cuh"
#include "hopper-query-grad.cuh"

// SIZES of cuda.ts
template <int D, int V, int FORWARD, int QUERY_GRAD, int KEY_GRAD>
constexpr bool kSizes = sizeof(typename Forward<D, V>::Shared) == FORWARD && sizeof(typename QueryGrad<D, V>::Shared) == QUERY_GRAD && sizeof(typename KeyGrad<D, V>::Shared) == KEY_GRAD;
static_assert(kSizes<64, 64, 102544, 153776, 111312> && kSizes<128, 128, 200848, 216240, 217808>, "as cuda.ts has them");
static_assert(kSizes<192, 128, 182416, 166016, 126096>, "as cuda.ts has them");
static_assert(kSizes<192, 192, 198800, 198784, 150672> && kSizes<256, 256, 198784, 231520, 199824>, "as cuda.ts has them");

#define HOPPER_KERNEL(name) extern "C" __global__ void __launch_bounds__(kHopperThreads, 1) name(const __grid_constant__ Problem p)
#define HOPPER_KERNELS(suffix, D, V, CAPPED)                                                 \
  HOPPER_KERNEL(attention_hopper_##suffix) { hopperForward<D, V, CAPPED>(p); }               \
  HOPPER_KERNEL(attention_query_grad_hopper_##suffix) { hopperQueryGrad<D, V, CAPPED>(p); }  \
  HOPPER_KERNEL(attention_key_grad_hopper_##suffix) { hopperKeyGrad<D, V, CAPPED>(p); }
#else
#define HOPPER_KERNELS(suffix, D, V, CAPPED)
#endif
