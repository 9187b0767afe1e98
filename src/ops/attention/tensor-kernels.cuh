// The three tensor-core kernels for heads of up to D channels, of values up to V, under their names; a source of two lines each says which it is.
#pragma once
#include "tensor-backward.cuh"
#include "tensor-forward.cuh"

#define TENSOR_KERNELS(suffix, D, V, CAPPED)                                                                                                    \
  extern "C" __global__ void __launch_bounds__(128) attention_tensor_##suffix(Problem p) { tensorForward<D, V, CAPPED>(p); }                     \
  extern "C" __global__ void __launch_bounds__(128) attention_query_grad_tensor_##suffix(Problem p) { tensorQueryGrad<D, V, CAPPED>(p); }        \
  extern "C" __global__ void __launch_bounds__(Tensor<D>::KEY_GRAD_THREADS) attention_key_grad_tensor_##suffix(Problem p) { tensorKeyGrad<D, V, CAPPED>(p); }
