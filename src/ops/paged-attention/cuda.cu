// Attention over a cache in pages, of heads of any size: a block of four warps for each new token and head, keys dealt out to them in turn, channels over a warp's
// lanes, sums in f32; then the four are one, in order.
#include "paged.cuh"

constexpr int kWarps = 4, kMost = 512, kLanes = kMost / 32;

// grid: (T, heads)
template <class T> __device__ void pagedAttention(const Paged& p) {
  __shared__ float tops[kWarps], totals[kWarps], sums[kWarps][kMost];
  const paged_attention_attrs& a = p.attrs;
  long long t = blockIdx.x;
  int head = blockIdx.y, group = head / (a.heads / a.kvHeads), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int at = p.position[t * p.positionStride], first = a.window > 0 ? max(0, at - a.window + 1) : 0;
  const int* pages = p.pages + t * p.pagesStride;
  const T* query = static_cast<const T*>(p.q) + t * p.qStride + head * a.headDim;
  float q[kLanes], acc[kLanes] = {}, top = lowest(), total = 0;
#pragma unroll
  for (int i = 0; i < kLanes; i++) q[i] = lane + 32 * i < a.headDim ? toFloat(query[lane + 32 * i]) : 0.0f;
  for (int j = first + warp; j <= at; j += kWarps) {
    long long row = static_cast<long long>(pages[j / a.page]) * a.page + j % a.page;
    const T* key = static_cast<const T*>(p.k) + row * p.kStride + group * a.headDim;
    const T* value = static_cast<const T*>(p.v) + row * p.vStride + group * a.valueDim;
    float s = 0;
#pragma unroll
    for (int i = 0; i < kLanes; i++) {
      if (lane + 32 * i < a.headDim) s += q[i] * toFloat(key[lane + 32 * i]);
    }
    s = warpSum(s) * a.scale;
    if (a.softCap > 0) s = a.softCap * tanhf(s / a.softCap);
    float best = fmaxf(top, s), old = top == lowest() ? 0.0f : expf(top - best), weight = expf(s - best);
    top = best;
    total = total * old + weight;
#pragma unroll
    for (int i = 0; i < kLanes; i++) {
      if (lane + 32 * i < a.valueDim) acc[i] = acc[i] * old + weight * toFloat(value[lane + 32 * i]);
    }
  }
  if (lane == 0) tops[warp] = top, totals[warp] = total;
#pragma unroll
  for (int i = 0; i < kLanes; i++) {
    if (lane + 32 * i < a.valueDim) sums[warp][lane + 32 * i] = acc[i];
  }
  __syncthreads();
  float sink = sinkOf(p, head), best = sink, share[kWarps];
#pragma unroll
  for (int w = 0; w < kWarps; w++) best = fmaxf(best, tops[w]);
  float all = sink == lowest() ? 0.0f : expf(sink - best);
#pragma unroll
  for (int w = 0; w < kWarps; w++) {
    share[w] = tops[w] == lowest() ? 0.0f : expf(tops[w] - best);
    all += share[w] * totals[w];
  }
  T* out = static_cast<T*>(p.o) + t * p.oStride + head * a.valueDim;
  for (int c = threadIdx.x; c < a.valueDim; c += 32 * kWarps) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; w++) sum += sums[w][c] * share[w];
    out[c] = fromFloat<T>(all == 0 ? 0.0f : sum / all);
  }
  if (threadIdx.x == 0) p.lse[t * p.lseStride + head] = all == 0 ? lowest() : best + logf(all);
}

#define PAGED(suffix, T) \
  extern "C" __global__ void __launch_bounds__(32 * kWarps) paged_attention_##suffix(Paged p) { pagedAttention<T>(p); }
FOR_TYPES(PAGED)
