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

// of sorted rows of experts: row s is the token order[s] / k, for the expert that experts says of this slot
template <class T, int V>
__device__ void slotDropout(int cols, const T* x, int xStride, T* y, int yStride, const int* order, int orderStride, const int* experts, int k,
                            int expertsStride, const int* row, const int* depth, const int* stepInts, unsigned threshold, float scale,
                            slot_dropout_attrs attrs) {
  long long s = blockIdx.x;
  int slot = order[s * orderStride], t = slot / k;
  unsigned expert = experts[static_cast<long long>(t) * expertsStride + slot % k];
  unsigned key = fold(tokenKey(stepInts, row[t], depth[t], attrs.module), expert);
  FOR_COLUMNS(c, cols, V) {
    float v[V];
    load<T, V>(x + s * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = channelBits(key, c + i) >= threshold ? v[i] * scale : 0.0f;
    store<T, V>(y + s * yStride + c, v);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                   \
  extern "C" __global__ void dropout_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, const int* row, const int* depth,     \
                                              const int* stepInts, unsigned threshold, float scale, dropout_attrs attrs) {                     \
    dropout<T, V>(cols, x, xStride, y, yStride, row, depth, stepInts, threshold, scale, attrs);                                                \
  }
FOR_INSTANCES(KERNEL)

#define SLOT_KERNEL(suffix, T, V)                                                                                                              \
  extern "C" __global__ void slot_dropout_##suffix(int, int cols, const T* x, int xStride, T* y, int yStride, const int* order,                \
                                                   int orderStride, const int* experts, int k, int expertsStride, const int* row,              \
                                                   const int* depth, const int* stepInts, unsigned threshold, float scale,                     \
                                                   slot_dropout_attrs attrs) {                                                                 \
    slotDropout<T, V>(cols, x, xStride, y, yStride, order, orderStride, experts, k, expertsStride, row, depth, stepInts, threshold, scale,     \
                      attrs);                                                                                                                  \
  }
FOR_INSTANCES(SLOT_KERNEL)
