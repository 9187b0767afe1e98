// units of any size, read again for every sweep, and the weight's gradient
#include "unit.cuh"

// partial[chunk][c] = Σ over this chunk's units of dY · x̂
template <class T>
__device__ void weightGrad(int rows, int groups, int group, const T* dY, int dYStride, const T* x, int xStride, const float* rstd, int rstdStride,
                           float* partial, int unitsPerChunk) {
  int c = blockIdx.y * blockDim.x + threadIdx.x;
  if (c >= group) return;
  long long units = static_cast<long long>(rows) * groups;
  long long from = static_cast<long long>(blockIdx.x) * unitsPerChunk;
  long long to = from + unitsPerChunk < units ? from + unitsPerChunk : units;
  float sum = 0;
  for (long long u = from; u < to; u++) {
    long long row = u / groups, g = u % groups;
    sum += toFloat(dY[row * dYStride + g * group + c]) * (toFloat(x[row * xStride + g * group + c]) * rstd[row * rstdStride + g]);
  }
  partial[static_cast<long long>(blockIdx.x) * group + c] = sum;
}

#define WEIGHT_GRAD(suffix, T)                                                                                                              \
  extern "C" __global__ void rms_norm_weight_grad_##suffix(int rows, int groups, int group, const T* dY, int dYStride, const T* x,          \
      int xStride, const float* rstd, int rstdStride, float* partial, int unitsPerChunk) {                                                  \
    weightGrad<T>(rows, groups, group, dY, dYStride, x, xStride, rstd, rstdStride, partial, unitsPerChunk);                                 \
  }
FOR_TYPES(WEIGHT_GRAD)

KERNELS(f32, float, 1, 32, 0)
KERNELS(f32, float, 1, 256, 0)
KERNELS(f32x4, float, 4, 256, 0)
KERNELS(bf16, bf16, 1, 32, 0)
KERNELS(bf16, bf16, 1, 256, 0)
KERNELS(bf16x8, bf16, 8, 256, 0)
