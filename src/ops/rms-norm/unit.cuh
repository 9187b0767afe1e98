// A "unit" is `group` channels normalised together: a row, or one head of a row. THREADS threads of a block share a unit: 256 for rows,
// 16 or 32 for heads. A thread holds N vectors of each tensor, read once and all on their way together; N = 0: as many as it takes, read again.
// rms_norm and add_rms_norm sum in the same order, so that y made anew from h has the same bits.
#pragma once
#include "../cuda.cuh"
#include "attrs.cuh"

using Attrs = rms_norm_attrs;  // those of all four ops

struct Unit {
  long long row;
  int group;  // which of the row's
  bool inside;
};
template <int THREADS> __device__ __forceinline__ Unit unitOf(int rows, int groups) {
  unsigned u = blockIdx.x * (256 / THREADS) + threadIdx.x / THREADS;
  return {u / groups, static_cast<int>(u % groups), u < static_cast<unsigned>(rows) * groups};
}

// the sum over a unit's threads, in each of them; every thread of the block takes part
template <int THREADS> __device__ __forceinline__ float unitSum(float x) {
  __shared__ float slots[8];
  if (THREADS > 32) return blockSum<8>(x, slots);
#pragma unroll
  for (int offset = THREADS / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}

// body(n, c): the thread's nth vector, from channel c on
template <int V, int THREADS, int N, class F> __device__ __forceinline__ void walk(int group, F body) {
  int first = threadIdx.x % THREADS * V;
  if constexpr (N == 0) {
#pragma unroll 1
    for (int c = first; c < group; c += THREADS * V) body(0, c);
  } else {
#pragma unroll
    for (int n = 0; n < N; n++) {
      int c = first + n * THREADS * V;
      if (c < group) body(n, c);
    }
  }
}

// a thread's vectors of a unit
template <class T, int V, int THREADS, int N> struct Held {
  const T* from;
  Vector<T, V> vectors[N ? N : 1];

  __device__ __forceinline__ Held(const T* from, int group, bool inside) : from(from) {
    if (N && inside) walk<V, THREADS, N>(group, [&](int n, int c) { vectors[n] = *reinterpret_cast<const Vector<T, V>*>(from + c); });
  }
  __device__ __forceinline__ void get(int n, int c, float (&x)[V]) const {
    if (N) vectors[n].get(x);
    else load<T, V>(from + c, x);
  }
  // what is got from now on; rounded to T
  __device__ __forceinline__ void set(int n, const float (&x)[V]) { vectors[n].set(x); }
};

template <int V> __device__ __forceinline__ void weights(const void* w, int wType, const Attrs& a, int c, float (&x)[V]) {
  loadStored<V>(w, wType, c, x);
#pragma unroll
  for (int i = 0; i < V; i++) x[i] += a.plusOne ? 1.0f : 0.0f;
}

// x: the (summed) input, already rounded to T where it is stored
template <class T, int V, int THREADS, int N>
__device__ __forceinline__ void normalise(const Held<T, V, THREADS, N>& x, T* y, float* rstd, const void* w, int wType, const Attrs& a, bool inside) {
  float sum = 0;
  if (inside) {
    walk<V, THREADS, N>(a.group, [&](int n, int c) {
      float v[V];
      x.get(n, c, v);
#pragma unroll
      for (int i = 0; i < V; i++) sum += v[i] * v[i];
    });
  }
  float r = rsqrtf(unitSum<THREADS>(sum) / a.group + a.eps);
  if (!inside) return;
  if (threadIdx.x % THREADS == 0) *rstd = r;
  walk<V, THREADS, N>(a.group, [&](int n, int c) {
    float v[V], k[V];
    x.get(n, c, v);
    weights<V>(w, wType, a, c, k);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = v[i] * r * k[i];
    store<T, V>(y + c, v);
  });
}

template <class T, int V, int THREADS, int N>
__device__ void addThenNormalise(const T* x, const T* delta, T* h, T* y, float* rstd, const void* w, int wType, const Attrs& a, bool inside) {
  Held<T, V, THREADS, N> sums(x, a.group, inside), deltas(delta, a.group, inside);
  if (inside) {
    walk<V, THREADS, N>(a.group, [&](int n, int c) {
      float sum[V], b[V];
      sums.get(n, c, sum);
      deltas.get(n, c, b);
#pragma unroll
      for (int i = 0; i < V; i++) sum[i] += b[i];
      store<T, V>(h + c, sum);
      sums.set(n, sum);
    });
  }
  if (!N) sums.from = h;  // a thread reads back only what it wrote
  normalise(sums, y, rstd, w, wType, a, inside);
}

// d may lie where dY or dResidual lay: a thread writes only elements that it has read for the last time
template <class T, int V, int THREADS, int N>
__device__ void backward(const T* dY, const T* x, const T* dResidual, T* d, float r, const void* w, int wType, const Attrs& a, bool inside) {
  Held<T, V, THREADS, N> dYs(dY, a.group, inside), xs(x, a.group, inside), residuals(dResidual, a.group, inside && dResidual);
  float sum = 0;
  if (inside) {
    walk<V, THREADS, N>(a.group, [&](int n, int c) {
      float g[V], v[V], k[V];
      dYs.get(n, c, g);
      xs.get(n, c, v);
      weights<V>(w, wType, a, c, k);
#pragma unroll
      for (int i = 0; i < V; i++) sum += g[i] * k[i] * (v[i] * r);
    });
  }
  float mean = unitSum<THREADS>(sum) / a.group;
  if (!inside) return;
  walk<V, THREADS, N>(a.group, [&](int n, int c) {
    float g[V], v[V], k[V], res[V];
    dYs.get(n, c, g);
    xs.get(n, c, v);
    weights<V>(w, wType, a, c, k);
    if (dResidual) residuals.get(n, c, res);
#pragma unroll
    for (int i = 0; i < V; i++) {
      g[i] = r * (g[i] * k[i] - v[i] * r * mean);
      if (dResidual) g[i] += res[i];
    }
    store<T, V>(d + c, g);
  });
}

#define ROW(p) (p + u.row * p##Stride + static_cast<long long>(u.group) * attrs.group)
#define KERNELS(suffix, T, V, THREADS, N)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_##suffix##_##THREADS##_##N(int rows, int groups, const T* x, int xStride,      \
      const void* w, int wType, T* y, int yStride, float* rstd, int rstdStride, Attrs attrs) {                                              \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    normalise(Held<T, V, THREADS, N>(ROW(x), attrs.group, u.inside), ROW(y), rstd + u.row * rstdStride + u.group, w, wType, attrs, u.inside); \
  }                                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) add_rms_norm_##suffix##_##THREADS##_##N(int rows, int groups, const T* x, int xStride,  \
      const T* delta, int deltaStride, const void* w, int wType, T* h, int hStride, T* y, int yStride, float* rstd, int rstdStride,         \
      Attrs attrs) {                                                                                                                       \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    float* own = rstd + u.row * rstdStride + u.group;                                                                                      \
    addThenNormalise<T, V, THREADS, N>(ROW(x), ROW(delta), ROW(h), ROW(y), own, w, wType, attrs, u.inside);                                \
  }                                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) rms_norm_backward_##suffix##_##THREADS##_##N(int rows, int groups, const T* dY,         \
      int dYStride, const T* x, int xStride, const void* w, int wType, const float* rstd, int rstdStride, const T* dResidual,              \
      int dResidualStride, T* d, int dStride, Attrs attrs) {                                                                               \
    Unit u = unitOf<THREADS>(rows, groups);                                                                                                \
    float r = u.inside ? rstd[u.row * rstdStride + u.group] : 0;                                                                           \
    const T* residual = dResidual ? ROW(dResidual) : nullptr;                                                                              \
    backward<T, V, THREADS, N>(ROW(dY), ROW(x), residual, ROW(d), r, w, wType, attrs, u.inside);                                           \
  }
