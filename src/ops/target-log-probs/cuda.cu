// One block a position: log Σ exp of its logits, the log-probabilities of its entries, and where wanted the gradient over the logits.
#include "../cuda.cuh"

struct Entries {
  const int* start;
  const int* target;
  const float* weight;
  const int* cursor;
  const int* headCount;
};

constexpr int kWarps = 8;

// running maximum and Σ exp(x − max), merged pairwise in a fixed order
struct Partial {
  float max, sum;
};
__device__ __forceinline__ Partial merge(Partial a, Partial b) {
  float m = fmaxf(a.max, b.max);
  if (m == __int_as_float(0xff800000)) return {m, 0};
  return {m, a.sum * expf(a.max - m) + b.sum * expf(b.max - m)};
}

template <class T, int V> __device__ float logSumExp(const T* x, int cols) {
  __shared__ Partial slots[kWarps];
  Partial p{__int_as_float(0xff800000), 0};
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float v[V];
    load<T, V>(x + c, v);
    float m = v[0];
#pragma unroll
    for (int i = 1; i < V; i++) m = fmaxf(m, v[i]);
    if (m > p.max) {
      p.sum *= expf(p.max - m);
      p.max = m;
    }
#pragma unroll
    for (int i = 0; i < V; i++) p.sum += expf(v[i] - p.max);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    p = merge(p, {__shfl_xor_sync(0xffffffffu, p.max, offset), __shfl_xor_sync(0xffffffffu, p.sum, offset)});
  }
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = p;
  __syncthreads();
  p = slots[0];
#pragma unroll
  for (int w = 1; w < kWarps; w++) p = merge(p, slots[w]);
  return p.max + logf(p.sum);
}

// dLogits may be the logits: every log-probability is read before the first gradient is written
template <class T, int V, bool GRADIENT>
__device__ void targetLogProbs(int cols, const T* logits, int stride, Entries e, float* logp, const float* lossScale, T* dLogits, int dStride) {
  const T* x = logits + static_cast<long long>(blockIdx.x) * stride;
  T* d = dLogits + static_cast<long long>(blockIdx.x) * dStride;
  int position = *e.cursor + blockIdx.x;
  bool full = position < *e.headCount;
  int from = full ? e.start[position] : 0, to = full ? e.start[position + 1] : 0;
  float lse = full ? logSumExp<T, V>(x, cols) : 0;
  for (int i = from + threadIdx.x; i < to; i += blockDim.x) logp[i] = toFloat(x[e.target[i]]) - lse;
  if (!GRADIENT) return;
  __syncthreads();
  float weight = 0;
  for (int i = from; i < to; i++) weight += e.weight[i];
  float scale = full ? *lossScale : 0;
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float v[V] = {};
    if (full) {
      load<T, V>(x + c, v);
#pragma unroll
      for (int j = 0; j < V; j++) v[j] = weight * expf(v[j] - lse);
      for (int i = from; i < to; i++) {
        int at = e.target[i] - c;
#pragma unroll
        for (int j = 0; j < V; j++) v[j] -= at == j ? e.weight[i] : 0.0f;
      }
#pragma unroll
      for (int j = 0; j < V; j++) v[j] *= scale;
    }
    store<T, V>(d + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(256) target_log_probs_##suffix(int cols, const T* logits, int stride, const int* start,          \
      const int* target, const float* weight, const int* cursor, const int* headCount, float* logp) {                                           \
    targetLogProbs<T, V, false>(cols, logits, stride, {start, target, weight, cursor, headCount}, logp, nullptr, nullptr, 0);                   \
  }                                                                                                                                             \
  extern "C" __global__ void __launch_bounds__(256) target_log_probs_backward_##suffix(int cols, const T* logits, int stride, const int* start, \
      const int* target, const float* weight, const int* cursor, const int* headCount, float* logp, const float* lossScale, T* d, int dStride) { \
    targetLogProbs<T, V, true>(cols, logits, stride, {start, target, weight, cursor, headCount}, logp, lossScale, d, dStride);                  \
  }
FOR_INSTANCES(KERNEL)
