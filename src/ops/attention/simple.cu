// The kernels in f32 arithmetic by name.
#include "simple.cuh"

#define SIMPLE(suffix, T, D)                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_simple_##suffix##_##D(Problem p) { simpleForward<D, T>(p); }                    \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_query_grad_simple_##suffix##_##D(Problem p) { simpleQueryGrad<D, T>(p); }       \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_key_grad_simple_##suffix##_##D(Problem p) { simpleKeyGrad<D, T>(p); }
#define SIMPLE_SIZES(suffix, T) SIMPLE(suffix, T, 128) SIMPLE(suffix, T, 256) SIMPLE(suffix, T, 512)
FOR_TYPES(SIMPLE_SIZES)
