#include "../cuda.cuh"
#include "attrs.cuh"

// y[t] = rows[i] where ids[t] is tokens[i] (zeros without rows), else x[t]; one block column of 256 channels
template <class T>
__device__ void tokenRows(int cols, int count, const T* x, int xStride, const int* ids, int idsStride, const float* tokens, const float* rows,
                          int rowsStride, T* y, int yStride) {
  long long t = blockIdx.x;
  __shared__ int place;
  if (threadIdx.x == 0) place = -1;
  __syncthreads();
  int id = ids[t * idsStride];
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    if (static_cast<int>(tokens[i]) == id) place = i;  // none comes twice
  }
  __syncthreads();
  FOR_COLUMNS(c, cols, 1) {
    if (place < 0) y[t * yStride + c] = x[t * xStride + c];
    else y[t * yStride + c] = fromFloat<T>(rows ? rows[static_cast<long long>(place) * rowsStride + c] : 0.0f);
  }
}

// dRows[i] += Σ dX[t] over the t whose id is tokens[i], in their order
template <class T>
__device__ void tokenRowsGrad(int rows, int cols, const int* ids, int idsStride, const float* tokens, const T* dX, int dXStride, float* dRows,
                              int dRowsStride, int padding) {
  int i = blockIdx.x, token = static_cast<int>(tokens[i]);
  if (token == padding) return;
  FOR_COLUMNS(c, cols, 1) {
    float sum = 0;
    for (int t = 0; t < rows; t++) {
      if (ids[static_cast<long long>(t) * idsStride] == token) sum += toFloat(dX[static_cast<long long>(t) * dXStride + c]);
    }
    dRows[static_cast<long long>(i) * dRowsStride + c] += sum;
  }
}

// y[m, tokens[i]] = z[m, i], zeros without z
template <class T>
__device__ void tokenColumns(int count, const float* tokens, const T* z, int zStride, T* y, int yStride) {
  long long m = blockIdx.x;
  FOR_COLUMNS(i, count, 1) {
    y[m * yStride + static_cast<int>(tokens[i])] = z ? z[m * zStride + i] : fromFloat<T>(0.0f);
  }
}

// z[m, i] = y[m, tokens[i]]
template <class T>
__device__ void columnsOfTokens(int count, const T* y, int yStride, const float* tokens, T* z, int zStride) {
  long long m = blockIdx.x;
  FOR_COLUMNS(i, count, 1) { z[m * zStride + i] = y[m * yStride + static_cast<int>(tokens[i])]; }
}

#define KERNEL(suffix, T)                                                                                                                  \
  extern "C" __global__ void token_rows_##suffix(int cols, int count, const T* x, int xStride, const int* ids, int idsStride,              \
                                                 const float* tokens, const float* rows, int rowsStride, T* y, int yStride) {              \
    tokenRows<T>(cols, count, x, xStride, ids, idsStride, tokens, rows, rowsStride, y, yStride);                                           \
  }                                                                                                                                        \
  extern "C" __global__ void token_rows_grad_##suffix(int rows, int cols, const int* ids, int idsStride, const float* tokens,              \
                                                      const T* dX, int dXStride, float* dRows, int dRowsStride, token_rows_grad_attrs attrs) { \
    tokenRowsGrad<T>(rows, cols, ids, idsStride, tokens, dX, dXStride, dRows, dRowsStride, attrs.padding);                                 \
  }                                                                                                                                        \
  extern "C" __global__ void token_columns_##suffix(int count, const float* tokens, const T* z, int zStride, T* y, int yStride) {          \
    tokenColumns<T>(count, tokens, z, zStride, y, yStride);                                                                                \
  }                                                                                                                                        \
  extern "C" __global__ void columns_of_tokens_##suffix(int count, const T* y, int yStride, const float* tokens, T* z, int zStride) {      \
    columnsOfTokens<T>(count, y, yStride, tokens, z, zStride);                                                                             \
  }
FOR_TYPES(KERNEL)
