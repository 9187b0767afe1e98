// The kernels in f32 arithmetic by name.
#include "simple.cuh"

// delta (T, H) = Σ_c dO · o, a warp a head
template <class T> __device__ void deltas(const Problem& p) {
  long long t = blockIdx.x;
  int head = blockIdx.y * 4 + threadIdx.x / 32;
  if (head >= p.attrs.heads) return;
  const T* dO = static_cast<const T*>(p.dO) + t * p.dOStride + head * p.attrs.headDim;
  const T* o = static_cast<const T*>(p.o) + t * p.oStride + head * p.attrs.headDim;
  float sum = 0;
  for (int c = threadIdx.x % 32; c < p.attrs.headDim; c += 32) sum += toFloat(dO[c]) * toFloat(o[c]);
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) p.delta[t * p.attrs.heads + head] = sum;
}
extern "C" __global__ void attention_delta_f32(Problem p) { deltas<float>(p); }
extern "C" __global__ void attention_delta_bf16(Problem p) { deltas<bf16>(p); }

#define SIMPLE(suffix, T, D)                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_simple_##suffix##_##D(Problem p) { simpleForward<D, T>(p); }                    \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_query_grad_simple_##suffix##_##D(Problem p) { simpleQueryGrad<D, T>(p); }       \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_key_grad_simple_##suffix##_##D(Problem p) { simpleKeyGrad<D, T>(p); }
#define SIMPLE_SIZES(suffix, T) SIMPLE(suffix, T, 128) SIMPLE(suffix, T, 256) SIMPLE(suffix, T, 512)
FOR_TYPES(SIMPLE_SIZES)
