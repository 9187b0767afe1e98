#include "../bits.cuh"
#include "../cuda.cuh"
#include "attrs.cuh"

// x + alpha / √(L·C) · ε; the token's row ends at visibleUntil and began depth tokens ago
template <class T, int V>
__device__ void noise(int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth, const int* visibleUntil,
                      const int* stepInts, noise_attrs attrs) {
  long long t = blockIdx.x;
  unsigned key = tokenKey(stepInts, row[t], depth[t], attrs.module);
  float length = static_cast<float>(depth[t] + visibleUntil[t] - static_cast<int>(t));
  float size = attrs.alpha / sqrtf(length * static_cast<float>(cols));
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + t * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] += size * (static_cast<float>(channelBits(key, c + i) >> 8) * 0x1p-23f - 1.0f);
    store<T, V>(y + t * yStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                   \
  extern "C" __global__ void noise_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth,       \
                                            const int* visibleUntil, const int* stepInts, noise_attrs attrs) {                                 \
    noise<T, V>(cols, x, xStride, y, yStride, row, depth, visibleUntil, stepInts, attrs);                                                      \
  }
FOR_INSTANCES(KERNEL)
