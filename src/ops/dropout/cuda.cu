#include "../bits.cuh"
#include "../cuda.cuh"
#include "attrs.cuh"

// keeps channel c where its bits are at least `threshold` = p · 2³²; the bits depend on (seed, step, row, depth, module, c) alone
template <class T, int V>
__device__ void dropout(int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth, const int* stepInts,
                        unsigned threshold, float scale, dropout_attrs attrs) {
  long long t = blockIdx.x;
  unsigned key = tokenKey(stepInts, row[t], depth[t], attrs.module);
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + t * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = channelBits(key, c + i) >= threshold ? v[i] * scale : 0.0f;
    store<T, V>(y + t * yStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                   \
  extern "C" __global__ void dropout_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth,     \
                                              const int* stepInts, unsigned threshold, float scale, dropout_attrs attrs) {                     \
    dropout<T, V>(cols, x, xStride, y, yStride, row, depth, stepInts, threshold, scale, attrs);                                                \
  }
FOR_INSTANCES(KERNEL)
