// Hopper's three kernels for heads of up to D channels under their names; a source of two lines each says which it is. Others get nothing.
#pragma once
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "hopper-forward.cuh"
#include "hopper-key-grad.cuh"
#include "hopper-query-grad.cuh"

// HOPPER_SHARED of cuda.ts
template <int D, int FORWARD, int QUERY_GRAD, int KEY_GRAD>
constexpr bool kSizes = sizeof(typename Forward<D>::Shared) == FORWARD && sizeof(typename QueryGrad<D>::Shared) == QUERY_GRAD && sizeof(typename KeyGrad<D>::Shared) == KEY_GRAD;
static_assert(kSizes<64, 102544, 153776, 111280> && kSizes<128, 200848, 216240, 217776>, "as cuda.ts has them");
static_assert(kSizes<192, 198800, 198784, 150656> && kSizes<256, 198784, 231520, 199808>, "as cuda.ts has them");

#define HOPPER_KERNEL(name) extern "C" __global__ void __launch_bounds__(kHopperThreads, 1) name(const __grid_constant__ Problem p)
#define HOPPER_KERNELS(suffix, D, CAPPED)                                                   \
  HOPPER_KERNEL(attention_hopper_##suffix) { hopperForward<D, CAPPED>(p); }               \
  HOPPER_KERNEL(attention_query_grad_hopper_##suffix) { hopperQueryGrad<D, CAPPED>(p); }  \
  HOPPER_KERNEL(attention_key_grad_hopper_##suffix) { hopperKeyGrad<D, CAPPED>(p); }
#else
#define HOPPER_KERNELS(suffix, D, CAPPED)
#endif
