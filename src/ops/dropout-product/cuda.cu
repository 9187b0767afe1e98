#include "../bits.cuh"
#include "../cuda.cuh"

// y += dropout(x)
template <class T, int V>
__device__ void dropoutAdd(int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth, const int* stepInts,
                           unsigned module, unsigned threshold, float scale) {
  long long t = blockIdx.x;
  unsigned key = tokenKey(stepInts, row[t], depth[t], module);
  FOR_COLUMNS(c, cols, V) {
    float v[V], sum[V];
    load<T, V>(x + t * xStride + c, v);
    load<T, V>(y + t * yStride + c, sum);
#pragma unroll
    for (int i = 0; i < V; i++) sum[i] += channelBits(key, c + i) >= threshold ? v[i] * scale : 0.0f;
    store<T, V>(y + t * yStride + c, sum);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                  \
  extern "C" __global__ void dropout_add_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth, \
                                                  const int* stepInts, unsigned module, unsigned threshold, float scale) {                    \
    dropoutAdd<T, V>(cols, x, xStride, y, yStride, row, depth, stepInts, module, threshold, scale);                                           \
  }
FOR_INSTANCES(KERNEL)
