#include "../cuda.cuh"
#include "attrs.cuh"

// y[s, 0] = w[order[s]], or 1; zeros beside it
template <class Y, class W>
__device__ void slotWeights(int rows, int cols, int k, const W* weights, int weightsStride, const int* order, int orderStride, Y* y, int yStride) {
  long long s = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (s >= rows) return;
  int slot = order[s * orderStride];
  for (int c = 1; c < cols; c++) y[s * yStride + c] = fromFloat<Y>(0.0f);
  y[s * yStride] = fromFloat<Y>(weights ? toFloat(weights[static_cast<long long>(slot / k) * weightsStride + slot % k]) : 1.0f);
}

template <class Y, class W>
__device__ void slotWeightsBackward(int rows, int k, const Y* dY, int dYStride, const int* order, int orderStride, W* dWeights, int dWeightsStride) {
  long long s = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (s >= rows) return;
  int slot = order[s * orderStride];
  dWeights[static_cast<long long>(slot / k) * dWeightsStride + slot % k] = fromFloat<W>(toFloat(dY[s * dYStride]));
}

#define KERNEL(suffix, Y, W)                                                                                                              \
  extern "C" __global__ void slot_weights_##suffix(int rows, int cols, int k, const W* weights, int weightsStride, const int* order,      \
                                                   int orderStride, Y* y, int yStride) {                                                  \
    slotWeights<Y, W>(rows, cols, k, weights, weightsStride, order, orderStride, y, yStride);                                                   \
  }                                                                                                                                       \
  extern "C" __global__ void slot_weights_backward_##suffix(int rows, int k, const Y* dY, int dYStride, const int* order,                 \
                                                            int orderStride, W* dWeights, int dWeightsStride) {                           \
    slotWeightsBackward<Y, W>(rows, k, dY, dYStride, order, orderStride, dWeights, dWeightsStride);                                       \
  }
KERNEL(f32_f32, float, float)
KERNEL(f32_bf16, float, bf16)
KERNEL(bf16_f32, bf16, float)
KERNEL(bf16_bf16, bf16, bf16)
