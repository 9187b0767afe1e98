// A position's logits are cut into segments, a block each. The first kernel finds what softmax needs of each segment; the second merges that, scores
// the entries whose targets lie in its own, and where wanted writes the gradient over it.
#include "../cuda.cuh"

struct Entries {
  const int* start;
  const int* target;
  const float* weight;
  const int* cursor;
  const int* headCount;
};

constexpr int kThreads = 256, kWarps = kThreads / 32;

// running maximum and where it is first; with t = x − max: Σ exp(t) and Σ t · exp(t). Merged pairwise in a fixed order.
struct alignas(16) Partial {
  float max, sum, weighted;
  int at;
};
// −∞, the maximum of nothing
__device__ __forceinline__ float none() { return __int_as_float(0xff800000); }
// the same against a larger maximum
__device__ __forceinline__ void raise(Partial& p, float max) {
  float shift = p.max - max, factor = expf(shift);
  // nothing summed yet: the shift is −∞
  p.weighted = p.sum > 0 ? factor * (p.weighted + shift * p.sum) : 0;
  p.sum *= factor;
  p.max = max;
}
__device__ __forceinline__ Partial merge(Partial a, Partial b) {
  int at = a.max > b.max || (a.max == b.max && a.at < b.at) ? a.at : b.at;
  float m = fmaxf(a.max, b.max);
  // nothing was met, or nothing but −∞ and NaN, whose sum stays NaN
  if (m == none()) return {m, a.sum + b.sum, a.weighted + b.weighted, at};
  raise(a, m);
  raise(b, m);
  return {m, a.sum + b.sum, a.weighted + b.weighted, at};
}
__device__ __forceinline__ Partial shuffled(Partial p, int offset) {
  return {__shfl_xor_sync(0xffffffffu, p.max, offset), __shfl_xor_sync(0xffffffffu, p.sum, offset),
      __shfl_xor_sync(0xffffffffu, p.weighted, offset), __shfl_xor_sync(0xffffffffu, p.at, offset)};
}

struct Segment {
  int from, to;
};
__device__ __forceinline__ Segment segmentOf(int cols, int size, int index) {
  int from = index * size;
  return {from, min(from + size, cols)};
}

template <class T, int V> __device__ void add(Partial& p, const Vector<T, V>& packed, int c) {
  float v[V];
  packed.get(v);
  float m = p.max;
#pragma unroll
  for (int i = 0; i < V; i++) {
    if (v[i] > m) {
      m = v[i];
      p.at = c + i;
    }
  }
  if (m > p.max) raise(p, m);
  float base = p.max == none() ? 0 : p.max;  // −∞ − −∞ would be NaN
#pragma unroll
  for (int i = 0; i < V; i++) {
    float t = v[i] - base;
    t = t < -1e4f ? -1e4f : t;  // 0 · −∞ must not be NaN; what is NaN stays so
    float e = expf(t);
    p.sum += e;
    p.weighted += t * e;
  }
}

// partials (rows, segments). Blocks begin where the logits end: what was written last, and of this what is read last, is still in the cache when the
// next kernel begins.
template <class T, int V> __device__ void softmaxOf(int cols, const T* logits, int stride, Entries e, int size, Partial* partials) {
  __shared__ Partial slots[kWarps];
  int row = gridDim.x - 1 - blockIdx.x, segment = gridDim.y - 1 - blockIdx.y;
  if (*e.cursor + row >= *e.headCount) return;
  const T* x = logits + static_cast<long long>(row) * stride;
  Segment own = segmentOf(cols, size, segment);
  Partial p{none(), 0, 0, 0};
  auto at = [&](int c) { return *reinterpret_cast<const Vector<T, V>*>(x + c); };
  // the next vector is on its way while one is added
  int c = own.from + threadIdx.x * V;
  Vector<T, V> next;
  if (c < own.to) next = at(c);
  for (; c < own.to; c += kThreads * V) {
    Vector<T, V> now = next;
    if (c + kThreads * V < own.to) next = at(c + kThreads * V);
    add<T, V>(p, now, c);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) p = merge(p, shuffled(p, offset));
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = p;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < kWarps; w++) p = merge(p, slots[w]);
  partials[static_cast<long long>(row) * gridDim.y + segment] = p;
}

template <int V> __device__ __forceinline__ void subtract(float (&v)[V], int at, float weight) {
  if (static_cast<unsigned>(at) >= V) return;
#pragma unroll
  for (int j = 0; j < V; j++) v[j] -= at == j ? weight : 0.0f;
}

// dLogits may be the logits: a block reads what it scores before it writes its own segment
template <class T, int V, bool GRADIENT>
__device__ void targetLogProbs(int cols, const T* logits, int stride, Entries e, float* scores, int size, const Partial* partials,
                               const float* lossScale, T* dLogits, int dStride) {
  const T* x = logits + static_cast<long long>(blockIdx.x) * stride;
  T* d = dLogits + static_cast<long long>(blockIdx.x) * dStride;
  Segment own = segmentOf(cols, size, blockIdx.y);
  int position = *e.cursor + blockIdx.x;
  bool full = position < *e.headCount;
  int from = full ? e.start[position] : 0, to = full ? e.start[position + 1] : 0;
  Partial p{0, 1, 0, 0};
  if (full) {
    p = partials[static_cast<long long>(blockIdx.x) * gridDim.y];
    for (int s = 1; s < gridDim.y; s++) p = merge(p, partials[static_cast<long long>(blockIdx.x) * gridDim.y + s]);
  }
  float lse = p.max + logf(p.sum), entropy = logf(p.sum) - p.weighted / p.sum;
  for (int i = from + threadIdx.x; i < to; i += blockDim.x) {
    int target = e.target[i];
    if (target < own.from || target >= own.to) continue;
    float* score = scores + 3 * i;
    score[0] = toFloat(x[target]) - lse;
    score[1] = entropy;
    score[2] = target == p.at ? 1.0f : 0.0f;
  }
  if (!GRADIENT) return;
  __syncthreads();
  float weight = 0;
  for (int i = from; i < to; i++) weight += e.weight[i];
  float scale = full ? *lossScale : 0;
  // most positions have one entry: it stays at hand
  int firstTarget = from < to ? e.target[from] : -1;
  float firstWeight = from < to ? e.weight[from] : 0;
  auto at = [&](int c) { return *reinterpret_cast<const Vector<T, V>*>(x + c); };
  int c = own.from + threadIdx.x * V;
  Vector<T, V> next;
  if (c < own.to) next = at(c);
  for (; c < own.to; c += kThreads * V) {
    Vector<T, V> now = next;
    if (c + kThreads * V < own.to) next = at(c + kThreads * V);
    float v[V] = {};
    if (full) {
      now.get(v);
#pragma unroll
      for (int j = 0; j < V; j++) v[j] = weight * expf(v[j] - lse);
      subtract<V>(v, firstTarget - c, firstWeight);
      for (int i = from + 1; i < to; i++) subtract<V>(v, e.target[i] - c, e.weight[i]);
#pragma unroll
      for (int j = 0; j < V; j++) v[j] *= scale;
    }
    store<T, V>(d + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads) softmax_segments_##suffix(int cols, const T* logits, int stride, Entries entries,      \
      int size, Partial* partials) {                                                                                                            \
    softmaxOf<T, V>(cols, logits, stride, entries, size, partials);                                                                            \
  }                                                                                                                                             \
  extern "C" __global__ void __launch_bounds__(kThreads) target_log_probs_##suffix(int cols, const T* logits, int stride, Entries entries,      \
      float* scores, int size, const Partial* partials) {                                                                                      \
    targetLogProbs<T, V, false>(cols, logits, stride, entries, scores, size, partials, nullptr, nullptr, 0);                                    \
  }                                                                                                                                             \
  extern "C" __global__ void __launch_bounds__(kThreads) target_log_probs_backward_##suffix(int cols, const T* logits, int stride,             \
      Entries entries, float* scores, int size, const Partial* partials, const float* lossScale, T* d, int dStride) {                           \
    targetLogProbs<T, V, true>(cols, logits, stride, entries, scores, size, partials, lossScale, d, dStride);                                   \
  }
FOR_INSTANCES(KERNEL)
