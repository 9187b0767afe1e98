#include "../cuda.cuh"
#include "attrs.cuh"

// y[i] = h[positions[cursor + i]], or zeros past headCount
template <class T, int V>
__device__ void gather(int cols, const T* h, int hStride, const int* positions, const int* cursor, const int* headCount, T* y, int yStride) {
  int i = blockIdx.x, at = *cursor + i;
  bool full = at < *headCount;
  const T* from = h + (full ? static_cast<long long>(positions[at]) : 0) * hStride;
  FOR_COLUMNS(c, cols, V) {
    float v[V] = {};
    if (full) load<T, V>(from + c, v);
    store<T, V>(y + static_cast<long long>(i) * yStride + c, v);
  }
}

// dH[positions[cursor + i]] = d[i]
template <class T, int V>
__device__ void scatter(int cols, const T* d, int dStride, const int* positions, const int* cursor, const int* headCount, T* dH, int dHStride) {
  int i = blockIdx.x, at = *cursor + i;
  if (at >= *headCount) return;
  T* to = dH + static_cast<long long>(positions[at]) * dHStride;
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(d + static_cast<long long>(i) * dStride + c, v);
    store<T, V>(to + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                             \
  extern "C" __global__ void gather_##suffix(int cols, const T* h, int hStride, const int* positions, const int* cursor,                 \
                                             const int* headCount, T* y, int yStride) {                                                  \
    gather<T, V>(cols, h, hStride, positions, cursor, headCount, y, yStride);                                                            \
  }                                                                                                                                      \
  extern "C" __global__ void scatter_##suffix(int cols, const T* d, int dStride, const int* positions, const int* cursor,                \
                                              const int* headCount, T* dH, int dHStride) {                                               \
    scatter<T, V>(cols, d, dStride, positions, cursor, headCount, dH, dHStride);                                                         \
  }
FOR_INSTANCES(KERNEL)

extern "C" __global__ void advance(int* cursor, advance_attrs attrs) { *cursor += attrs.by; }
