// A "unit" is `group` channels normalised together: a row, or one head of a row. THREADS threads of a block share a unit: 256 for rows,
// 32 for heads. rms_norm and add_rms_norm sum in the same order, so that y made anew from h has the same bits.
#include "../cuda.cuh"
#include "attrs.cuh"

using Attrs = rms_norm_attrs;  // those of all four ops

struct Unit {
  long long row;
  int group;  // which of the row's
  bool inside;
};
template <int THREADS> __device__ __forceinline__ Unit unitOf(int rows, int groups) {
  long long u = static_cast<long long>(blockIdx.x) * (blockDim.x / THREADS) + threadIdx.x / THREADS;
  return {u / groups, static_cast<int>(u % groups), u < static_cast<long long>(rows) * groups};
}

// the sum over a unit's threads, in each of them; every thread of the block takes part
template <int THREADS> __device__ __forceinline__ float unitSum(float x) {
  __shared__ float slots[8];
  return THREADS == 32 ? warpSum(x) : blockSum<8>(x, slots);
}

template <int V> __device__ __forceinline__ void weights(const void* w, int wType, const Attrs& a, int c, float (&x)[V]) {
  loadStored<V>(w, wType, c, x);
#pragma unroll
  for (int i = 0; i < V; i++) x[i] += a.plusOne ? 1.0f : 0.0f;
}

// x: the (summed) input, already rounded to T where it is stored
template <class T, int V, int THREADS>
__device__ void normalise(const T* x, T* y, float* rstd, const void* w, int wType, const Attrs& a, bool inside) {
  int lane = threadIdx.x % THREADS;
  float sum = 0;
  if (inside) {
#pragma unroll 1
    for (int c = lane * V; c < a.group; c += THREADS * V) {
      float v[V];
      load<T, V>(x + c, v);
#pragma unroll
      for (int i = 0; i < V; i++) sum += v[i] * v[i];
    }
  }
  float r = rsqrtf(unitSum<THREADS>(sum) / a.group + a.eps);
  if (!inside) return;
  if (lane == 0) *rstd = r;
#pragma unroll 1
  for (int c = lane * V; c < a.group; c += THREADS * V) {
    float v[V], k[V];
    load<T, V>(x + c, v);
    weights<V>(w, wType, a, c, k);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = v[i] * r * k[i];
    store<T, V>(y + c, v);
  }
}

template <class T, int V, int THREADS>
__device__ void addThenNormalise(const T* x, const T* delta, T* h, T* y, float* rstd, const void* w, int wType, const Attrs& a,
                                 bool inside) {
  if (inside) {
#pragma unroll 1
    for (int c = threadIdx.x % THREADS * V; c < a.group; c += THREADS * V) {
      float sum[V], b[V];
      load<T, V>(x + c, sum);
      load<T, V>(delta + c, b);
#pragma unroll
      for (int i = 0; i < V; i++) sum[i] += b[i];
      store<T, V>(h + c, sum);
    }
  }
  normalise<T, V, THREADS>(h, y, rstd, w, wType, a, inside);  // a thread reads back only what it wrote
}

// d may lie where dY or dResidual lay: a thread writes only elements that it has read for the last time
template <class T, int V, int THREADS>
__device__ void backward(const T* dY, const T* x, const T* dResidual, T* d, float r, const void* w, int wType, const Attrs& a, bool inside) {
  int lane = threadIdx.x % THREADS;
  float sum = 0;
  if (inside) {
#pragma unroll 1
    for (int c = lane * V; c < a.group; c += THREADS * V) {
      float g[V], v[V], k[V];
      load<T, V>(dY + c, g);
      load<T, V>(x + c, v);
      weights<V>(w, wType, a, c, k);
#pragma unroll
      for (int i = 0; i < V; i++) sum += g[i] * k[i] * (v[i] * r);
    }
  }
  float mean = unitSum<THREADS>(sum) / a.group;
  if (!inside) return;
#pragma unroll 1
  for (int c = lane * V; c < a.group; c += THREADS * V) {
    float g[V], v[V], k[V], res[V];
    load<T, V>(dY + c, g);
    load<T, V>(x + c, v);
    weights<V>(w, wType, a, c, k);
    if (dResidual) load<T, V>(dResidual + c, res);
#pragma unroll
    for (int i = 0; i < V; i++) {
      g[i] = r * (g[i] * k[i] - v[i] * r * mean);
      if (dResidual) g[i] += res[i];
    }
    store<T, V>(d + c, g);
  }
}

// partial[chunk][c] = Σ over this chunk's units of dY · x̂
template <class T>
__device__ void weightGrad(int rows, int groups, int group, const T* dY, int dYStride, const T* x, int xStride, const float* rstd, int rstdStride,
                           float* partial, int unitsPerChunk) {
  int c = blockIdx.y * blockDim.x + threadIdx.x;
  if (c >= group) return;
  long long units = static_cast<long long>(rows) * groups;
  long long from = static_cast<long long>(blockIdx.x) * unitsPerChunk;
  long long to = from + unitsPerChunk < units ? from + unitsPerChunk : units;
  float sum = 0;
  for (long long u = from; u < to; u++) {
    long long row = u / groups, g = u % groups;
    sum += toFloat(dY[row * dYStride + g * group + c]) * (toFloat(x[row * xStride + g * group + c]) * rstd[row * rstdStride + g]);
  }
  partial[static_cast<long long>(blockIdx.x) * group + c] = sum;
}

#define ROW(p) (p + u.row * p##Stride + static_cast<long long>(u.group) * attrs.group)
#define KERNELS(suffix, T, V, THREADS)                                                                                                     \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_##suffix##_##THREADS(int rows, int groups, const T* x, int xStride,            \
      const void* w, int wType, T* y, int yStride, float* rstd, int rstdStride, Attrs attrs) {                                              \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    normalise<T, V, THREADS>(ROW(x), ROW(y), rstd + u.row * rstdStride + u.group, w, wType, attrs, u.inside);                               \
  }                                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) add_rms_norm_##suffix##_##THREADS(int rows, int groups, const T* x, int xStride,        \
      const T* delta, int deltaStride, const void* w, int wType, T* h, int hStride, T* y, int yStride, float* rstd, int rstdStride,         \
      Attrs attrs) {                                                                                                                       \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    addThenNormalise<T, V, THREADS>(ROW(x), ROW(delta), ROW(h), ROW(y), rstd + u.row * rstdStride + u.group, w, wType, attrs, u.inside);    \
  }                                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_backward_##suffix##_##THREADS(int rows, int groups, const T* dY, int dYStride, \
      const T* x, int xStride, const void* w, int wType, const float* rstd, int rstdStride, const T* dResidual, int dResidualStride, T* d,  \
      int dStride, Attrs attrs) {                                                                                                          \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    float r = u.inside ? rstd[u.row * rstdStride + u.group] : 0;                                                                           \
    backward<T, V, THREADS>(ROW(dY), ROW(x), dResidual ? ROW(dResidual) : nullptr, ROW(d), r, w, wType, attrs, u.inside);                   \
  }
#define KERNEL(suffix, T, V) KERNELS(suffix, T, V, 32) KERNELS(suffix, T, V, 256)
FOR_INSTANCES(KERNEL)

#define WEIGHT_GRAD(suffix, T)                                                                                                              \
  extern "C" __global__ void rms_norm_weight_grad_##suffix(int rows, int groups, int group, const T* dY, int dYStride, const T* x,          \
      int xStride, const float* rstd, int rstdStride, float* partial, int unitsPerChunk) {                                                  \
    weightGrad<T>(rows, groups, group, dY, dYStride, x, xStride, rstd, rstdStride, partial, unitsPerChunk);                                 \
  }
FOR_TYPES(WEIGHT_GRAD)
