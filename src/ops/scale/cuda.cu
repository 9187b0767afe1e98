#include "../cuda.cuh"
#include "attrs.cuh"

template <class T, int V>
__device__ void scale(int cols, const T* x, int xStride, T* y, int yStride, float factor) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + row * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] *= factor;
    store<T, V>(y + row * yStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                         \
  extern "C" __global__ void scale_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, scale_attrs attrs) { \
    scale<T, V>(cols, x, xStride, y, yStride, attrs.factor);                                                         \
  }
FOR_INSTANCES(KERNEL)
