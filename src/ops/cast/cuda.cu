// Casts, and the dequantisation of NF4 weights: everything that brings a matrix into the type a product reads.
#include "../cuda.cuh"
#include "../nf4.cuh"

template <class X, class Y>
__device__ void cast(int cols, const X* x, int xStride, Y* y, int yStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, 1) y[row * yStride + c] = fromFloat<Y>(toFloat(x[row * xStride + c]));
}
extern "C" __global__ void cast_f32_bf16(int cols, const float* x, int xStride, bf16* y, int yStride) { cast(cols, x, xStride, y, yStride); }
extern "C" __global__ void cast_bf16_f32(int cols, const bf16* x, int xStride, float* y, int yStride) { cast(cols, x, xStride, y, yStride); }
extern "C" __global__ void cast_f16_f32(int cols, const f16* x, int xStride, float* y, int yStride) { cast(cols, x, xStride, y, yStride); }
extern "C" __global__ void cast_f16_bf16(int cols, const f16* x, int xStride, bf16* y, int yStride) { cast(cols, x, xStride, y, yStride); }
extern "C" __global__ void cast_f32_f32(int cols, const float* x, int xStride, float* y, int yStride) { cast(cols, x, xStride, y, yStride); }
extern "C" __global__ void cast_bf16_bf16(int cols, const bf16* x, int xStride, bf16* y, int yStride) { cast(cols, x, xStride, y, yStride); }

// Several matrices from f32 to bf16 in one launch, a matrix a row of the grid.
constexpr int kPieces = 8;
struct Piece {
  const float* x;
  bf16* y;
  int rows, cols, xStride, yStride;
};
struct Pieces {
  Piece list[kPieces];
};
extern "C" __global__ void cast_pieces(const __grid_constant__ Pieces pieces) {
  const Piece& p = pieces.list[blockIdx.y];
  unsigned n = static_cast<unsigned>(p.rows) * p.cols, cols = p.cols;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    long long row = i / cols, c = i % cols;
    p.y[row * p.yStride + c] = fromFloat<bf16>(p.x[row * p.xStride + c]);
  }
}

// y = codebook[nibble] · absmax(block), rounded once; the even element is the high nibble. A thread makes 16 elements of one block.
template <class T>
__device__ void dequantise(long long n, const unsigned char* packed, T* y, const Quant& quant) {
  __shared__ float values[16];
  if (threadIdx.x < 16) values[threadIdx.x] = quant.codebook[threadIdx.x];
  __syncthreads();
  long long first = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) * 16;
  if (first >= n) return;
  float scale = quant.scale(first / quant.blocksize);
  if (first + 16 <= n) {
    uint2 codes = *reinterpret_cast<const uint2*>(packed + first / 2);
    constexpr int V = 16 / sizeof(T);
#pragma unroll
    for (int part = 0; part < 16 / V; part++) {
      float x[V];
#pragma unroll
      for (int i = 0; i < V; i++) {
        int e = part * V + i;
        unsigned word = e < 8 ? codes.x : codes.y;
        x[i] = __fmul_rn(values[(word >> ((e % 8) / 2 * 8 + (e % 2 ? 0 : 4))) & 15], scale);
      }
      store<T, V>(y + first + part * V, x);
    }
  } else {
    for (long long e = first; e < n; e++) y[e] = fromFloat<T>(__fmul_rn(values[(packed[e / 2] >> (e % 2 ? 0 : 4)) & 15], scale));
  }
}

#define KERNEL(suffix, T)                                                                                                                \
  extern "C" __global__ void dequantise_nf4_##suffix(unsigned rows, unsigned cols, const unsigned char* packed, T* y, const Quant quant) { \
    dequantise<T>(static_cast<long long>(rows) * cols, packed, y, quant);                                                                \
  }
FOR_TYPES(KERNEL)
