#include "../cuda.cuh"

// cache[slots[t]] = x[t], where that is not negative
template <class T, int V> __device__ void cacheWrite(int cols, const T* x, int xStride, const int* slots, int slotsStride, T* cache, int cacheStride) {
  long long t = blockIdx.x, to = slots[t * slotsStride];
  if (to < 0) return;
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + t * xStride + c, v);
    store<T, V>(cache + to * cacheStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                          \
  extern "C" __global__ void cache_write_##suffix(int cols, const T* x, int xStride, const int* slots, int slotsStride, T* cache, int cacheStride) { \
    cacheWrite<T, V>(cols, x, xStride, slots, slotsStride, cache, cacheStride);                                                                    \
  }
FOR_INSTANCES(KERNEL)
