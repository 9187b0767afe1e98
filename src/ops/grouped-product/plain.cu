// Grouped products without tensor cores: of f32, and of bf16 where a card has none for it. Tiles of 64 × 64, four by four a thread; in bf16 a
// weight is rounded before it is multiplied, as everywhere.
#include "grouped.cuh"

constexpr int kTile = 64, kDepth = 16, kPitch = kTile + 4;

// c += a · b of one step, both with the sum along rows
__device__ __forceinline__ void multiplyStep(float (&c)[4][4], const float (&a)[kDepth][kPitch], const float (&b)[kDepth][kPitch]) {
  int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
#pragma unroll
  for (int k = 0; k < kDepth; k++) {
    float x[4], w[4];
    load<float, 4>(&a[k][row], x);
    load<float, 4>(&b[k][column], w);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) c[i][j] = fmaf(x[i], w[j], c[i][j]);
    }
  }
}

template <class T, bool TRANS> __device__ __forceinline__ void groupedProduct(const Product& p) {
  __shared__ alignas(16) float x[kDepth][kPitch], w[kDepth][kPitch];
  __shared__ float codebooks[kParts][16];
  int columns = (p.n + kTile - 1) / kTile, column = blockIdx.x % columns * kTile;
  Rows rows;
  if (!tileRows<kTile>(p.offsets, p.offsetsStride, p.experts, blockIdx.x / columns, rows)) return;
  loadCodebooks(p, codebooks);
  float c[4][4] = {};
  for (int i = 0; i < p.count; i++) {
    const Part& part = p.parts[i];
    long long first = static_cast<long long>(rows.expert) * (TRANS ? part.k : p.n);  // the expert's first row of w
    for (int k = 0; k < part.k; k += kDepth) {
      __syncthreads();
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int at = threadIdx.x + j * 256, r = at / kDepth, d = at % kDepth;
        bool inside = rows.from + r < rows.to && k + d < part.k;
        x[d][r] = inside ? loadStored(part.x.at, part.x.type, static_cast<long long>(rows.from + r) * part.x.stride + k + d) : 0;
        int n = TRANS ? at % kTile : r, m = TRANS ? at / kTile : d;
        inside = column + n < p.n && k + m < part.k;
        long long element = TRANS ? (first + k + m) * part.w.stride + column + n : (first + column + n) * part.w.stride + k + m;
        w[m][n] = inside ? toFloat(fromFloat<T>(elementOf(part.w, part.quant, codebooks[i], element))) : 0;
      }
      __syncthreads();
      multiplyStep(c, x, w);
    }
  }
  T* y = static_cast<T*>(p.y);
  for (int i = 0; i < 4; i++) {
    int r = rows.from + threadIdx.x / 16 * 4 + i, n = column + threadIdx.x % 16 * 4;
    for (int j = 0; j < 4 && n + j < p.n && r < rows.to; j++) y[static_cast<long long>(r) * p.yStride + n + j] = fromFloat<T>(p.alpha * c[i][j]);
  }
}

// dW_e (N, K) += alpha · dYᵀ · x over the expert's rows; a block a tile of an expert
template <class T>
__device__ void weightGrad(const int* offsets, int offsetsStride, int n, int k, float alpha, const T* dY, int dYStride, const T* x, int xStride,
                           float* dW, int dWStride) {
  __shared__ alignas(16) float d[kDepth][kPitch], v[kDepth][kPitch];
  long long e = blockIdx.z;
  int from = offsets[e * offsetsStride], to = offsets[(e + 1) * offsetsStride], row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  if (from >= to) return;
  float c[4][4] = {};
  for (int s = from; s < to; s += kDepth) {
    __syncthreads();
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int at = threadIdx.x + j * 256, m = at / kTile, i = at % kTile;
      bool inside = s + m < to;
      d[m][i] = inside && row + i < n ? toFloat(dY[static_cast<long long>(s + m) * dYStride + row + i]) : 0;
      v[m][i] = inside && column + i < k ? toFloat(x[static_cast<long long>(s + m) * xStride + column + i]) : 0;
    }
    __syncthreads();
    multiplyStep(c, d, v);
  }
  for (int i = 0; i < 4; i++) {
    int r = row + threadIdx.x / 16 * 4 + i, at = column + threadIdx.x % 16 * 4;
    for (int j = 0; j < 4 && at + j < k && r < n; j++) dW[(e * n + r) * dWStride + at + j] += alpha * c[i][j];
  }
}

#define KERNEL(suffix, T)                                                                                                                  \
  extern "C" __global__ void __launch_bounds__(256) grouped_plain_##suffix(const __grid_constant__ Product p) { groupedProduct<T, false>(p); } \
  extern "C" __global__ void __launch_bounds__(256) grouped_plain_trans_##suffix(const __grid_constant__ Product p) {                       \
    groupedProduct<T, true>(p);                                                                                                            \
  }                                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256) grouped_plain_grad_##suffix(const int* offsets, int offsetsStride, int n, int k,        \
      float alpha, const T* dY, int dYStride, const T* x, int xStride, float* dW, int dWStride) {                                           \
    weightGrad<T>(offsets, offsetsStride, n, k, alpha, dY, dYStride, x, xStride, dW, dWStride);                                            \
  }
FOR_TYPES(KERNEL)
