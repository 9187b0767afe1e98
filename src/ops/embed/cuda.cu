#include "../cuda.cuh"
#include "attrs.cuh"

// x[t] = W[ids[t]]; element (id, c) of W is at id · idStride + c · channelStride
template <class T> __device__ void embed(int cols, const int* ids, const void* w, int wType, long long idStride, long long channelStride, T* x, int xStride) {
  long long t = blockIdx.x, id = ids[t];
  FOR_COLUMNS(c, cols, 1) x[t * xStride + c] = fromFloat<T>(loadStored(w, wType, id * idStride + c * channelStride));
}

// dW[id] += Σ dX[t] over the tokens with this id, in the order of t: the block of an id's first token does it, the others leave
template <class T> __device__ void embedGrad(int rows, int cols, const int* ids, const T* dX, int dXStride, float* dW, long long idStride, long long channelStride,
                                             int padding) {
  int t = blockIdx.x, id = ids[t];
  if (id == padding) return;
  int earlier = 0;
  for (int i = threadIdx.x; i < t; i += blockDim.x) earlier |= ids[i] == id;
  if (__syncthreads_or(earlier)) return;
  FOR_COLUMNS(c, cols, 1) {
    float sum = 0;
    for (int i = t; i < rows; i++) {
      if (ids[i] == id) sum += toFloat(dX[static_cast<long long>(i) * dXStride + c]);
    }
    dW[id * idStride + c * channelStride] += sum;
  }
}

#define KERNEL(suffix, T)                                                                                                                  \
  extern "C" __global__ void embed_##suffix(int, int cols, const int* ids, const void* w, int wType, int idStride, int channelStride, T* x, \
                                            int xStride) {                                                                                 \
    embed<T>(cols, ids, w, wType, idStride, channelStride, x, xStride);                                                                     \
  }                                                                                                                                        \
  extern "C" __global__ void embed_grad_##suffix(int rows, int cols, const int* ids, const T* dX, int dXStride, float* dW, int idStride,   \
                                                 int channelStride, embed_grad_attrs attrs) {                                              \
    embedGrad<T>(rows, cols, ids, dX, dXStride, dW, idStride, channelStride, attrs.padding);                                               \
  }
FOR_TYPES(KERNEL)
