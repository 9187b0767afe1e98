#include "../cuda.cuh"
#include "attrs.cuh"

// V channels of k and v a thread; heads of k have own + shared channels, of kv own + valueDim
template <class T, int V>
__device__ void expandKv(int heads, int sharedCols, const expand_kv_attrs& a, const T* kv, int kvStride, const T* shared, int sharedStride, T* k, int kStride, T* v, int vStride) {
  long long t = blockIdx.x;
  int perHead = a.own + sharedCols + a.valueDim;
  FOR_COLUMNS(i, heads * perHead, V) {
    int head = i / perHead, c = i % perHead, own = a.own, width = own + sharedCols;
    const T* from = kv + t * kvStride + head * (own + a.valueDim);
    float x[V];
    if (c < width) {
      load<T, V>(c < own ? from + c : shared + t * sharedStride + c - own, x);
      store<T, V>(k + t * kStride + head * width + c, x);
    } else {
      load<T, V>(from + own + c - width, x);
      store<T, V>(v + t * vStride + head * a.valueDim + c - width, x);
    }
  }
}

// V channels of dKv, or of dShared, which a thread sums over the heads in order
template <class T, int V>
__device__ void expandKvBackward(int heads, int sharedCols, const expand_kv_backward_attrs& a, const T* dK, int dKStride, const T* dV, int dVStride, T* dKv, int dKvStride, T* dShared,
                                 int dSharedStride) {
  long long t = blockIdx.x;
  int own = a.own, perHead = own + a.valueDim, width = own + sharedCols, all = heads * perHead;
  FOR_COLUMNS(i, all + sharedCols, V) {
    float x[V];
    if (i < all) {
      int head = i / perHead, c = i % perHead;
      load<T, V>(c < own ? dK + t * dKStride + head * width + c : dV + t * dVStride + head * a.valueDim + c - own, x);
      store<T, V>(dKv + t * dKvStride + i, x);
    } else {
      float sum[V] = {};
      for (int head = 0; head < heads; head++) {
        load<T, V>(dK + t * dKStride + head * width + own + (i - all), x);
#pragma unroll
        for (int j = 0; j < V; j++) sum[j] += x[j];
      }
      store<T, V>(dShared + t * dSharedStride + (i - all), sum);
    }
  }
}

#define KERNEL(suffix, T, V)                                                                                                                          \
  extern "C" __global__ void expand_kv_##suffix(int heads, int sharedCols, expand_kv_attrs a, const T* kv, int kvStride, const T* shared, int sharedStride, T* k, \
                                                int kStride, T* v, int vStride) {                                                                     \
    expandKv<T, V>(heads, sharedCols, a, kv, kvStride, shared, sharedStride, k, kStride, v, vStride);                                                 \
  }                                                                                                                                                   \
  extern "C" __global__ void expand_kv_backward_##suffix(int heads, int sharedCols, expand_kv_backward_attrs a, const T* dK, int dKStride, const T* dV, int dVStride, \
                                                         T* dKv, int dKvStride, T* dShared, int dSharedStride) {                                      \
    expandKvBackward<T, V>(heads, sharedCols, a, dK, dKStride, dV, dVStride, dKv, dKvStride, dShared, dSharedStride);                                 \
  }
FOR_INSTANCES(KERNEL)
