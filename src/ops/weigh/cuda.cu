// Sorted rows times their slots' weights: a row a block.
#include "../cuda.cuh"

__device__ __forceinline__ long long weightAt(const int* order, int orderStride, int k, int stride) {
  int slot = order[static_cast<long long>(blockIdx.x) * orderStride];
  return static_cast<long long>(slot / k) * stride + slot % k;
}

template <class T, int V>
__device__ void weigh(int cols, const T* x, int xStride, const void* weights, int type, int weightsStride, int k, const int* order,
                      int orderStride, T* y, int yStride) {
  long long s = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    // on its way while the weight is looked up
    float v[V];
    load<T, V>(x + s * xStride + c, v);
    float w = loadStored(weights, type, weightAt(order, orderStride, k, weightsStride));
#pragma unroll
    for (int i = 0; i < V; i++) v[i] *= w;
    store<T, V>(y + s * yStride + c, v);
  }
}

// dX may lie where dY or x does: a thread reads its columns of both for the sum before it writes them
template <class T, int V>
__device__ void weighBackward(int cols, const T* dY, int dYStride, const T* x, int xStride, const void* weights, int type, int weightsStride,
                              int k, const int* order, int orderStride, T* dX, int dXStride, void* dWeights, int dWeightsStride) {
  __shared__ float slots[8];
  long long s = blockIdx.x;
  float w = loadStored(weights, type, weightAt(order, orderStride, k, weightsStride)), sum = 0;
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float d[V], v[V];
    load<T, V>(dY + s * dYStride + c, d);
    load<T, V>(x + s * xStride + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) sum += d[i] * v[i];
  }
  sum = blockSum<8>(sum, slots);
  if (threadIdx.x == 0) {
    long long at = weightAt(order, orderStride, k, dWeightsStride);
    if (type == 0) static_cast<bf16*>(dWeights)[at] = fromFloat<bf16>(sum);
    else static_cast<float*>(dWeights)[at] = sum;
  }
  for (int c = threadIdx.x * V; c < cols; c += blockDim.x * V) {
    float d[V];
    load<T, V>(dY + s * dYStride + c, d);
#pragma unroll
    for (int i = 0; i < V; i++) d[i] *= w;
    store<T, V>(dX + s * dXStride + c, d);
  }
}

#define KERNEL(suffix, T, V)                                                                                                                \
  extern "C" __global__ void weigh_##suffix(int cols, const T* x, int xStride, const void* weights, int type, int weightsStride, int k,     \
                                            const int* order, int orderStride, T* y, int yStride) {                                         \
    weigh<T, V>(cols, x, xStride, weights, type, weightsStride, k, order, orderStride, y, yStride);                                         \
  }                                                                                                                                         \
  extern "C" __global__ void __launch_bounds__(256) weigh_backward_##suffix(int cols, const T* dY, int dYStride, const T* x, int xStride,   \
      const void* weights, int type, int weightsStride, int k, const int* order, int orderStride, T* dX, int dXStride, void* dWeights,      \
      int dWeightsStride) {                                                                                                                 \
    weighBackward<T, V>(cols, dY, dYStride, x, xStride, weights, type, weightsStride, k, order, orderStride, dX, dXStride, dWeights,        \
                        dWeightsStride);                                                                                                    \
  }
FOR_INSTANCES(KERNEL)
