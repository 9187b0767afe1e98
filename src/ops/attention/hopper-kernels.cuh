// Hopper's three kernels for heads of up to D channels under their names; a source of two lines each says which it is. Others get nothing.
#pragma once
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "hopper-forward.cuh"
#include "hopper-key-grad.cuh"
#include "hopper-query-grad.cuh"

#define HOPPER_KERNEL(name) extern "C" __global__ void __launch_bounds__(kHopperThreads, 1) name(const __grid_constant__ Problem p)
#define HOPPER_KERNELS(suffix, D, CAPPED)                                                   \
  HOPPER_KERNEL(attention_hopper_##suffix) { hopperForward<D, CAPPED>(p); }               \
  HOPPER_KERNEL(attention_query_grad_hopper_##suffix) { hopperQueryGrad<D, CAPPED>(p); }  \
  HOPPER_KERNEL(attention_key_grad_hopper_##suffix) { hopperKeyGrad<D, CAPPED>(p); }
#else
#define HOPPER_KERNELS(suffix, D, CAPPED)
#endif
