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

// dH[t] = the sum of weights[i] · d[i] over the head positions i of row t, which lie side by side
template <class T, int V>
__device__ void weightedScatter(int cols, const T* d, int dStride, const int* positions, const int* headCount, const float* weights, T* dH,
                                int dHStride) {
  int row = blockIdx.x, count = *headCount, from = 0;
  for (int left = count; left > 0;) {
    int half = left / 2;
    if (positions[from + half] < row) {
      from += half + 1;
      left -= half + 1;
    } else left = half;
  }
  int to = from;
  while (to < count && positions[to] == row) to++;
  FOR_COLUMNS(c, cols, V) {
    float sum[V] = {};
    for (int i = from; i < to; i++) {
      float v[V], weight = weights ? weights[i] : 1.0f;
      load<T, V>(d + static_cast<long long>(i) * dStride + c, v);
#pragma unroll
      for (int j = 0; j < V; j++) sum[j] += weight * v[j];
    }
    store<T, V>(dH + static_cast<long long>(row) * dHStride + c, sum);
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
  }                                                                                                                                      \
  extern "C" __global__ void weighted_scatter_##suffix(int cols, const T* d, int dStride, const int* positions, const int* headCount,    \
                                                       const float* weights, T* dH, int dHStride) {                                      \
    weightedScatter<T, V>(cols, d, dStride, positions, headCount, weights, dH, dHStride);                                                \
  }
FOR_INSTANCES(KERNEL)

extern "C" __global__ void advance(int* cursor, advance_attrs attrs) { *cursor += attrs.by; }
