#include "../cuda.cuh"

template <class T, int V>
__device__ void add(int cols, const T* a, int aStride, const T* b, int bStride, T* y, int yStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float x[V], z[V];
    load<T, V>(a + row * aStride + c, x);
    load<T, V>(b + row * bStride + c, z);
#pragma unroll
    for (int i = 0; i < V; i++) x[i] += z[i];
    store<T, V>(y + row * yStride + c, x);
  }
}

#define KERNEL(suffix, T, V)                                                                                             \
  extern "C" __global__ void add_##suffix(int, int cols, const T* a, int aStride, const T* b, int bStride, T* y, int yStride) { \
    add<T, V>(cols, a, aStride, b, bStride, y, yStride);                                                                 \
  }
FOR_INSTANCES(KERNEL)
