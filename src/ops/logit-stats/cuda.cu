// One block a position: the largest logit, then the sums against it. Warps' parts are added in their order.
#include "../cuda.cuh"

constexpr int kWarps = 8;

struct Sums {
  float linear, once, squared;
};

template <class T, int V> __device__ void logitStats(int cols, const T* logits, int stride, const int* cursor, const int* headCount, float* stats, int statsStride) {
  __shared__ float tops[kWarps];
  __shared__ Sums parts[kWarps];
  const int position = *cursor + blockIdx.x;
  if (position >= *headCount) return;
  const T* x = logits + static_cast<long long>(blockIdx.x) * stride;
  float top = __int_as_float(0xff800000);
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float v[V];
    load<T, V>(x + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) top = fmaxf(top, v[i]);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
  if (threadIdx.x % 32 == 0) tops[threadIdx.x / 32] = top;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kWarps; w++) top = fmaxf(top, tops[w]);
  Sums s{0, 0, 0};
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float v[V];
    load<T, V>(x + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) {
      float p = expf(v[i] - top);
      s.linear += v[i];
      s.once += p;
      s.squared += p * p;
    }
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    s.linear += __shfl_xor_sync(0xffffffffu, s.linear, offset);
    s.once += __shfl_xor_sync(0xffffffffu, s.once, offset);
    s.squared += __shfl_xor_sync(0xffffffffu, s.squared, offset);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = s;
  __syncthreads();
  if (threadIdx.x > 0) return;
  s = parts[0];
#pragma unroll
  for (int w = 1; w < kWarps; w++) {
    s.linear += parts[w].linear;
    s.once += parts[w].once;
    s.squared += parts[w].squared;
  }
  float* out = stats + static_cast<long long>(position) * statsStride;
  out[0] = s.linear / cols;
  out[1] = logf(s.squared) - 2 * logf(s.once);
}

#define KERNEL(suffix, T, V)                                                                                                              \
  extern "C" __global__ void __launch_bounds__(256) logit_stats_##suffix(int cols, const T* logits, int stride, const int* cursor,        \
      const int* headCount, float* stats, int statsStride) {                                                                              \
    logitStats<T, V>(cols, logits, stride, cursor, headCount, stats, statsStride);                                                        \
  }
FOR_INSTANCES(KERNEL)
