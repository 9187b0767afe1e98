// The tensor-core kernels by name, for sm_80 and later.
#include "tensor.cuh"

#define TENSOR(D)                                                                                                         \
  extern "C" __global__ void __launch_bounds__(128) attention_tensor_##D(Problem p) { tensorForward<D>(p); }              \
  extern "C" __global__ void __launch_bounds__(128) attention_query_grad_tensor_##D(Problem p) { tensorQueryGrad<D>(p); } \
  extern "C" __global__ void __launch_bounds__(128) attention_key_grad_tensor_##D(Problem p) { tensorKeyGrad<D>(p); }
TENSOR(64)
TENSOR(128)
