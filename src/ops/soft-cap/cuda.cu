#include "../cuda.cuh"
#include "attrs.cuh"

template <class T, int V>
__device__ void softCap(int cols, const T* x, int xStride, T* y, int yStride, float cap) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + row * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = cap * tanhf(v[i] / cap);
    store<T, V>(y + row * yStride + c, v);
  }
}

// d may lie where dY or y lay
template <class T, int V>
__device__ void softCapBackward(int cols, const T* dY, int dYStride, const T* y, int yStride, T* d, int dStride, float cap) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float v[V], t[V];
    load<T, V>(dY + row * dYStride + c, v);
    load<T, V>(y + row * yStride + c, t);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] *= 1.0f - (t[i] / cap) * (t[i] / cap);
    store<T, V>(d + row * dStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                         \
  extern "C" __global__ void soft_cap_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, soft_cap_attrs attrs) {    \
    softCap<T, V>(cols, x, xStride, y, yStride, attrs.cap);                                                                          \
  }                                                                                                                                  \
  extern "C" __global__ void soft_cap_backward_##suffix(int, int cols, const T* dY, int dYStride, const T* y, int yStride, T* d,     \
                                                        int dStride, soft_cap_backward_attrs attrs) {                                \
    softCapBackward<T, V>(cols, dY, dYStride, y, yStride, d, dStride, attrs.cap);                                                    \
  }
FOR_INSTANCES(KERNEL)
