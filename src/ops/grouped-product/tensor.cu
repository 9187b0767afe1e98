// Grouped products of bf16 on the tensor cores (mma.sync, sm_80 and later): tiles of 128 × 128 of one expert, eight warps of 64 × 32. Each step
// of the sum is read into registers, whatever type a weight is stored in, while the step before is multiplied out of shared memory.
#include "grouped.cuh"
#include "../mma.cuh"

constexpr int kTile = 128, kDepth = 32, kThreads = 256;
constexpr int kAlong = kDepth + 8, kAcross = kTile + 8;  // from one row to the next where rows run along the sum, and across it
constexpr int kBuffer = kTile * kAlong;                  // elements of an operand's step, either way

using Eight = uint4;  // numbers in bf16

__device__ __forceinline__ Eight packed(const float (&v)[8]) { return {pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7])}; }

// elements at, at + 1, … of a matrix in bf16, zeros from the `valid`th on
__device__ __forceinline__ Eight eightOf(const Source& s, const Quant& quant, const float* codebook, long long at, int valid) {
  if (valid <= 0) return {0, 0, 0, 0};
  float v[8];
  if (valid >= 8 && s.wide) {
    if (s.type == 0) return *reinterpret_cast<const Eight*>(static_cast<const bf16*>(s.at) + at);
    if (s.type == kNf4) {
      unsigned codes = *reinterpret_cast<const unsigned*>(static_cast<const unsigned char*>(s.at) + at / 2);
      float scale = quant.scale(at / quant.blocksize);
#pragma unroll
      for (int i = 0; i < 8; i++) v[i] = __fmul_rn(codebook[codes >> (i / 2 * 8 + (i % 2 ? 0 : 4)) & 15], scale);
    } else {
      loadStored<8>(s.at, s.type, at, v);
    }
  } else {
#pragma unroll
    for (int i = 0; i < 8; i++) v[i] = i < valid ? elementOf(s, quant, codebook, at + i) : 0;
  }
  return packed(v);
}

// A step of an operand, two eights a thread. ALONG: rows of the step are rows of the operand, kTile of them; else they count the sum.
template <bool ALONG> struct Step {
  static constexpr int CHUNKS = (ALONG ? kDepth : kTile) / 8, PITCH = ALONG ? kAlong : kAcross;
  Eight v[2];
  // rows from `row` up to `rows`, columns from `column` up to `columns`
  __device__ __forceinline__ void read(const Source& s, const Quant& quant, const float* codebook, long long row, long long rows, int column, int columns) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = threadIdx.x + i * kThreads, c = column + at % CHUNKS * 8;
      long long r = row + at / CHUNKS;
      v[i] = eightOf(s, quant, codebook, r * s.stride + c, r < rows ? columns - c : 0);
    }
  }
  __device__ __forceinline__ void write(bf16* to) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = threadIdx.x + i * kThreads;
      *reinterpret_cast<Eight*>(to + at / CHUNKS * PITCH + at % CHUNKS * 8) = v[i];
    }
  }
};

using Accumulators = float[4][4][4];
__device__ __forceinline__ int warpRow() { return threadIdx.x / 32 % 2 * 64; }
__device__ __forceinline__ int warpColumn() { return threadIdx.x / 64 * 32; }

// c += a · b of one step
template <bool A_ALONG, bool B_ALONG> __device__ __forceinline__ void multiplyStep(Accumulators& c, const bf16* a, const bf16* b) {
#pragma unroll
  for (int k = 0; k < kDepth; k += 16) {
    Fragment fa[4], fb[2];
#pragma unroll
    for (int m = 0; m < 4; m++) {
      if (A_ALONG) loadA(fa[m], a, kAlong, warpRow() + 16 * m, k);
      else loadATransposed(fa[m], a, kAcross, k, warpRow() + 16 * m);
    }
#pragma unroll
    for (int n = 0; n < 2; n++) {
      if (B_ALONG) loadB(fb[n], b, kAlong, warpColumn() + 16 * n, k);
      else loadBTransposed(fb[n], b, kAcross, k, warpColumn() + 16 * n);
    }
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
      for (int n = 0; n < 4; n++) multiply(c[m][n], fa[m], fb[n / 2][n % 2 * 2], fb[n / 2][n % 2 * 2 + 1]);
    }
  }
}

// f(row, column, c's place) for each pair of neighbouring columns that a thread has of a tile
template <class F> __device__ __forceinline__ void eachPair(F f) {
  int lane = threadIdx.x % 32;
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
#pragma unroll
      for (int half = 0; half < 2; half++) f(warpRow() + m * 16 + lane / 4 + half * 8, warpColumn() + n * 8 + lane % 4 * 2, m, n, 2 * half);
    }
  }
}

// where in the sum: a part, and a step of it
struct Cursor {
  int part, k;
  __device__ __forceinline__ bool inside(const Product& p) const { return part < p.count; }
  __device__ __forceinline__ void advance(const Product& p) {
    if ((k += kDepth) >= p.parts[part].k) part++, k = 0;
  }
};

template <bool TRANS> __device__ __forceinline__ void groupedProduct(const Product& p) {
  __shared__ alignas(16) bf16 xs[2][kBuffer], ws[2][kBuffer];
  __shared__ float codebooks[kParts][16];
  int columns = (p.n + kTile - 1) / kTile, column = blockIdx.x % columns * kTile;
  Rows rows;
  if (!tileRows<kTile>(p.offsets, p.offsetsStride, p.experts, blockIdx.x / columns, rows)) return;
  loadCodebooks(p, codebooks);
  __syncthreads();
  Step<true> x;
  Step<!TRANS> w;
  Quant none{};
  auto read = [&](const Cursor& at) {
    const Part& part = p.parts[at.part];
    x.read(part.x, none, nullptr, rows.from, rows.to, at.k, part.k);
    long long first = static_cast<long long>(rows.expert) * (TRANS ? part.k : p.n);  // the expert's first row of w
    if (TRANS) w.read(part.w, part.quant, codebooks[at.part], first + at.k, first + part.k, column, p.n);
    else w.read(part.w, part.quant, codebooks[at.part], first + column, first + p.n, at.k, part.k);
  };
  Accumulators c = {};
  Cursor cursor{0, 0};
  read(cursor);
  x.write(xs[0]), w.write(ws[0]);
  __syncthreads();
  for (int buffer = 0; cursor.inside(p); buffer ^= 1) {
    cursor.advance(p);
    bool more = cursor.inside(p);
    if (more) read(cursor);
    multiplyStep<true, !TRANS>(c, xs[buffer], ws[buffer]);
    if (more) x.write(xs[buffer ^ 1]), w.write(ws[buffer ^ 1]);
    __syncthreads();
  }
  bf16* y = static_cast<bf16*>(p.y);
  eachPair([&](int r, int n, int i, int j, int h) {
    r += rows.from, n += column;
    if (r >= rows.to) return;
    bf16* to = y + static_cast<long long>(r) * p.yStride + n;
    if (n < p.n) to[0] = fromFloat<bf16>(p.alpha * c[i][j][h]);
    if (n + 1 < p.n) to[1] = fromFloat<bf16>(p.alpha * c[i][j][h + 1]);
  });
}
extern "C" __global__ void __launch_bounds__(kThreads) grouped_tensor(const __grid_constant__ Product p) { groupedProduct<false>(p); }
extern "C" __global__ void __launch_bounds__(kThreads) grouped_tensor_trans(const __grid_constant__ Product p) { groupedProduct<true>(p); }

// dW_e (N, K) += alpha · dYᵀ · x over the expert's rows; a block a tile of an expert
struct Gradient {
  Source dY, x;
  const int* offsets;
  float* dW;
  int offsetsStride, dWStride, n, k;
  float alpha;
  int inPairs;  // two neighbours of dW may be read and written at once
};
extern "C" __global__ void __launch_bounds__(kThreads) grouped_tensor_grad(const __grid_constant__ Gradient g) {
  __shared__ alignas(16) bf16 ds[2][kBuffer], xs[2][kBuffer];
  long long e = blockIdx.z;
  int from = g.offsets[e * g.offsetsStride], to = g.offsets[(e + 1) * g.offsetsStride], row = blockIdx.y * kTile, column = blockIdx.x * kTile;
  if (from >= to) return;
  Step<false> d, x;
  Quant none{};
  auto read = [&](int s) {
    d.read(g.dY, none, nullptr, s, to, row, g.n);
    x.read(g.x, none, nullptr, s, to, column, g.k);
  };
  Accumulators c = {};
  read(from);
  d.write(ds[0]), x.write(xs[0]);
  __syncthreads();
  for (int s = from, buffer = 0; s < to; s += kDepth, buffer ^= 1) {
    bool more = s + kDepth < to;
    if (more) read(s + kDepth);
    multiplyStep<false, false>(c, ds[buffer], xs[buffer]);
    if (more) d.write(ds[buffer ^ 1]), x.write(xs[buffer ^ 1]);
    __syncthreads();
  }
  eachPair([&](int r, int k, int i, int j, int h) {
    r += row, k += column;
    if (r >= g.n) return;
    float* into = g.dW + (e * g.n + r) * g.dWStride + k;
    float first = g.alpha * c[i][j][h], second = g.alpha * c[i][j][h + 1];
    if (g.inPairs && k + 1 < g.k) {
      float2 sum = *reinterpret_cast<const float2*>(into);
      *reinterpret_cast<float2*>(into) = {sum.x + first, sum.y + second};
    } else {
      if (k < g.k) into[0] += first;
      if (k + 1 < g.k) into[1] += second;
    }
  });
}
