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

// as many packed bytes as one load brings
template <int bytes> struct Word;
template <> struct Word<2> { using type = unsigned short; };
template <> struct Word<4> { using type = unsigned; };

// y = codebook[nibble] · scale of its block, rounded once; the even element is the high nibble. A thread makes what 16 bytes of y hold at a time,
// so that a warp writes without gaps, kTurns times. A scale costs more than an element: where blocks are whole shares of what a warp makes in a
// turn, lanes work out one block's each and hand it to the others.
constexpr int kTurns = 4;
template <class T>
__device__ void dequantise(long long n, const unsigned char* packed, T* y, const Quant& quant) {
  __shared__ float values[16];
  if (threadIdx.x < 16) values[threadIdx.x] = quant.codebook[threadIdx.x];
  __syncthreads();
  constexpr int V = 16 / sizeof(T), kWarp = 32 * V;  // elements of a warp's turn
  using Codes = typename Word<V / 2>::type;
  int lane = threadIdx.x & 31;
  long long warp = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
  long long start = warp * kWarp * kTurns, first = start + lane * V;
  // blocks of a turn: few enough that those of all turns have a lane each
  bool shared = kWarp % quant.blocksize == 0 && kWarp / quant.blocksize * kTurns <= 32;
  int inTurn = shared ? kWarp / quant.blocksize : 1;
  float own = 0;
  if (shared && lane < inTurn * kTurns) {
    long long e = start + static_cast<long long>(lane) * quant.blocksize;
    if (e < n) own = quant.scale(e / quant.blocksize);
  }
  int lender = shared ? lane * V / quant.blocksize : 0;
  Codes codes[kTurns];
#pragma unroll
  for (int turn = 0; turn < kTurns; turn++) {
    long long e = first + turn * kWarp;
    codes[turn] = e + V <= n ? *reinterpret_cast<const Codes*>(packed + e / 2) : Codes{0};
  }
#pragma unroll
  for (int turn = 0; turn < kTurns; turn++) {
    long long e = first + turn * kWarp;
    float scale = __shfl_sync(~0u, own, turn * inTurn + lender);
    if (e + V <= n) {
      if (!shared) scale = quant.scale(e / quant.blocksize);
      float x[V];
#pragma unroll
      for (int i = 0; i < V; i++) x[i] = __fmul_rn(values[(codes[turn] >> (i / 2 * 8 + (i % 2 ? 0 : 4))) & 15], scale);
      store<T, V>(y + e, x);
    } else {
      for (long long i = e; i < n && i < e + V; i++) {
        y[i] = fromFloat<T>(__fmul_rn(values[(packed[i / 2] >> (i % 2 ? 0 : 4)) & 15], quant.scale(i / quant.blocksize)));
      }
    }
  }
}

#define KERNEL(suffix, T)                                                                                                                \
  extern "C" __global__ void dequantise_nf4_##suffix(unsigned rows, unsigned cols, const unsigned char* packed, T* y, const Quant quant) { \
    dequantise<T>(static_cast<long long>(rows) * cols, packed, y, quant);                                                                \
  }
FOR_TYPES(KERNEL)
