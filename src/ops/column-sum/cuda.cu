// Sums over rows in two steps of fixed order: each chunk of rows by itself, then the chunks one after another.
#include "../cuda.cuh"

template <class T> __device__ void columnSumChunk(int rows, int cols, const T* d, int stride, float* partial, int rowsPerChunk) {
  int c = blockIdx.y * blockDim.x + threadIdx.x;
  if (c >= cols) return;
  long long from = static_cast<long long>(blockIdx.x) * rowsPerChunk;
  long long to = from + rowsPerChunk < rows ? from + rowsPerChunk : rows;
  float sum = 0;
  for (long long row = from; row < to; row++) sum += toFloat(d[row * stride + c]);
  partial[static_cast<long long>(blockIdx.x) * cols + c] = sum;
}

#define KERNEL(suffix, T)                                                                                                        \
  extern "C" __global__ void column_sum_##suffix(int rows, int cols, const T* d, int stride, float* partial, int rowsPerChunk) { \
    columnSumChunk<T>(rows, cols, d, stride, partial, rowsPerChunk);                                                             \
  }
FOR_TYPES(KERNEL)

// d[c] += Σ_chunk partial[chunk][c]
extern "C" __global__ void add_chunks(int chunks, int cols, const float* partial, float* d) {
  int c = blockIdx.x * blockDim.x + threadIdx.x;
  if (c >= cols) return;
  float sum = 0;
  for (int k = 0; k < chunks; k++) sum += partial[static_cast<long long>(k) * cols + c];
  d[c] += sum;
}
