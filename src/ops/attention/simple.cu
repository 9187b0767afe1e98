// The kernels in f32 arithmetic by name.
#include "simple.cuh"

// delta (T, H) = Σ_c dO · o, a warp a head
template <class T> __device__ void deltas(const Problem& p) {
  long long t = blockIdx.x;
  int head = blockIdx.y * 4 + threadIdx.x / 32;
  if (head >= p.attrs.heads) return;
  const T* dO = static_cast<const T*>(p.dO) + t * p.dOStride + head * p.attrs.valueDim;
  const T* o = static_cast<const T*>(p.o) + t * p.oStride + head * p.attrs.valueDim;
  float sum = 0;
  for (int c = threadIdx.x % 32; c < p.attrs.valueDim; c += 32) sum += toFloat(dO[c]) * toFloat(o[c]);
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) p.delta[t * p.attrs.heads + head] = sum;
}
extern "C" __global__ void attention_delta_f32(Problem p) { deltas<float>(p); }
extern "C" __global__ void attention_delta_bf16(Problem p) { deltas<bf16>(p); }

// dSinks[h] −= Σ_t exp(sink − lse) · Σ_c dO · o: a block a head, a warp every eighth token
template <class T>
__device__ void sinkGrads(int tokens, const attention_sink_grad_attrs& a, const T* dO, int dOStride, const T* o, int oStride, const float* lse, int lseStride, const void* sinks,
                          int sinksInBf16, float* dSinks) {
  int head = blockIdx.x, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  float sink = sinksInBf16 ? toFloat(static_cast<const bf16*>(sinks)[head]) : static_cast<const float*>(sinks)[head];
  float sum = 0;
  for (long long t = warp; t < tokens; t += 8) {
    float delta = 0;
    for (int c = lane; c < a.valueDim; c += 32) delta += toFloat(dO[t * dOStride + head * a.valueDim + c]) * toFloat(o[t * oStride + head * a.valueDim + c]);
    sum += expf(sink - lse[t * lseStride + head]) * warpSum(delta);
  }
  __shared__ float sums[8];
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  if (threadIdx.x) return;
  sum = 0;
  for (int i = 0; i < 8; i++) sum += sums[i];
  dSinks[head] -= sum;
}
#define SINKS(suffix, T)                                                                                                                               \
  extern "C" __global__ void __launch_bounds__(256) attention_sink_grad_##suffix(int tokens, attention_sink_grad_attrs a, const T* dO, int dOStride, const T* o, \
                                                                                 int oStride, const float* lse, int lseStride, const void* sinks, int sinksInBf16, float* dSinks) { \
    sinkGrads<T>(tokens, a, dO, dOStride, o, oStride, lse, lseStride, sinks, sinksInBf16, dSinks);                                                     \
  }
FOR_TYPES(SINKS)

#define SIMPLE(suffix, T, D)                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_simple_##suffix##_##D(Problem p) { simpleForward<D, T>(p); }                    \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_query_grad_simple_##suffix##_##D(Problem p) { simpleQueryGrad<D, T>(p); }       \
  extern "C" __global__ void __launch_bounds__(Tiling<D>::THREADS) attention_key_grad_simple_##suffix##_##D(Problem p) { simpleKeyGrad<D, T>(p); }
#define SIMPLE_SIZES(suffix, T) SIMPLE(suffix, T, 128) SIMPLE(suffix, T, 256) SIMPLE(suffix, T, 512)
FOR_TYPES(SIMPLE_SIZES)
