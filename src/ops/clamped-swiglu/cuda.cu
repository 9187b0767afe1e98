#include "../cuda.cuh"
#include "attrs.cuh"

// A gate and its up, clamped, and the sigmoid; NaN stays NaN
struct Pair {
  float gate, up, s;
  __device__ __forceinline__ Pair(float g, float u, float alpha, float limit) {
    gate = g > limit ? limit : g;
    up = u > limit ? limit : u < -limit ? -limit : u;
    s = 1.0f / (1.0f + expf(-alpha * gate));
  }
};

// V pairs from column 2c on, in two vectors
template <class T, int V>
__device__ __forceinline__ void loadPairs(const T* from, float (&v)[2][V]) {
  load<T, V>(from, v[0]);
  load<T, V>(from + V, v[1]);
}

template <class T, int V>
__device__ void clampedSwiglu(int cols, const T* both, int bothStride, T* h, int hStride, float alpha, float limit) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float v[2][V], out[V];
    loadPairs<T, V>(both + row * bothStride + 2 * c, v);
#pragma unroll
    for (int i = 0; i < V; i++) {
      Pair p(v[2 * i / V][2 * i % V], v[(2 * i + 1) / V][(2 * i + 1) % V], alpha, limit);
      out[i] = (p.up + 1.0f) * (p.gate * p.s);
    }
    store<T, V>(h + row * hStride + c, out);
  }
}

// dBoth may lie where both lay: a thread reads its pairs before it writes them
template <class T, int V>
__device__ void clampedSwigluBackward(int cols, const T* dH, int dHStride, const T* both, int bothStride, T* dBoth, int dBothStride, float alpha,
                                      float limit) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float d[V], v[2][V];
    load<T, V>(dH + row * dHStride + c, d);
    loadPairs<T, V>(both + row * bothStride + 2 * c, v);
#pragma unroll
    for (int i = 0; i < V; i++) {
      float &g = v[2 * i / V][2 * i % V], &u = v[(2 * i + 1) / V][(2 * i + 1) % V];
      Pair p(g, u, alpha, limit);
      float dS = d[i] * p.s;
      g = g > limit ? 0.0f : dS * (p.up + 1.0f) * (1.0f + alpha * p.gate * (1.0f - p.s));
      u = u > limit || u < -limit ? 0.0f : dS * p.gate;
    }
    T* to = dBoth + row * dBothStride + 2 * c;
    store<T, V>(to, v[0]);
    store<T, V>(to + V, v[1]);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                   \
  extern "C" __global__ void clamped_swiglu_##suffix(int, int cols, T* h, int hStride, const T* both, int bothStride,                          \
                                                     clamped_swiglu_attrs attrs) {                                                             \
    clampedSwiglu<T, V>(cols, both, bothStride, h, hStride, attrs.alpha, attrs.limit);                                                         \
  }                                                                                                                                            \
  extern "C" __global__ void clamped_swiglu_backward_##suffix(int, int cols, const T* dH, int dHStride, const T* both, int bothStride,         \
                                                              T* dBoth, int dBothStride, clamped_swiglu_backward_attrs attrs) {                \
    clampedSwigluBackward<T, V>(cols, dH, dHStride, both, bothStride, dBoth, dBothStride, attrs.alpha, attrs.limit);                           \
  }
FOR_INSTANCES(KERNEL)
