// y = alpha · Σ x · wᵀ + bias + addend of 16 rows at the most, as texts that go on by a token have: bound by reading w, once, as it is stored; NF4
// is decoded on the way to the tensor cores, rounded to bf16 as its copy would be. A block takes 16 R columns of y; its warps take chunks of the
// reduction in turn, and their sums are added in order: how many rows there are decides no bit.
#pragma once
#include "../cuda.cuh"
#include "../mma.cuh"
#include "../nf4.cuh"

constexpr int kFewParts = 4;
constexpr int kFewRows = 16;
constexpr int kFewNf4 = 3;

struct FewPart {
  const bf16* x;
  const void* w;
  int xStride, wStride, k;
  int type;  // `storedType`, or kFewNf4
  Quant quant;
};
struct Few {
  FewPart parts[kFewParts];
  const bf16* addend;
  const void* bias;
  bf16* y;
  int addendStride, yStride, rows, cols, count, biasType;
  float alpha;
  int padding;
};

// of a warp: (R · 16 columns of y, 2 · 8 rows)
template <int R> using FewSums = float[R][2][4];

// What a lane multiplies: of two columns of y (g, g + 8) of each tile and of two rows of x (g, g + 8) 8 elements of the reduction, in bf16 words. Lanes
// of one g have different elements; an x and a w that lie in the same place of their words meet.
template <int R> __device__ __forceinline__ void multiplyWords(FewSums<R>& sums, const uint4 (&w)[R][2], const uint4 (&x)[2]) {
#pragma unroll
  for (int t = 0; t < 2; t++)
#pragma unroll
    for (int r = 0; r < R; r++) {
      const Fragment first = {w[r][0].x, w[r][1].x, w[r][0].y, w[r][1].y}, second = {w[r][0].z, w[r][1].z, w[r][0].w, w[r][1].w};
      multiply(sums[r][t], first, x[t].x, x[t].y);
      multiply(sums[r][t], second, x[t].z, x[t].w);
    }
}

__device__ __forceinline__ uint4 wordsOf(const bf16* row, long long at, bool inside) {
  return inside ? *reinterpret_cast<const uint4*>(row + at) : make_uint4(0, 0, 0, 0);
}

template <int TYPE> __device__ __forceinline__ uint4 storedWords(const void* w, long long at, bool inside) {
  if (TYPE == 0) return wordsOf(static_cast<const bf16*>(w), at, inside);
  float v[8] = {};
  if (inside) loadStored<8>(w, TYPE, at, v);
  return make_uint4(pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
}

// Every weight is read in chunks of 128, of which a lane has 32 in a row, 8 at a time: one in NF4 and its copy in bf16 make the same bits.
constexpr int kFewChunk = 128;

// a weight of bf16, f32 or f16
template <int R, int TYPE> __device__ void addStored(FewSums<R>& sums, const FewPart& p, int rows, int cols, int warp, int warps) {
  constexpr int kAtOnce = R == 4 ? 2 : 4;
  int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4, first = blockIdx.x * 16 * R;
  for (int chunk = warp; chunk * kFewChunk < p.k; chunk += warps)
#pragma unroll
    for (int part = 0; part < 4; part += kAtOnce) {
      uint4 w[kAtOnce][R][2], x[kAtOnce][2];
#pragma unroll
      for (int i = 0; i < kAtOnce; i++) {
        int at = chunk * kFewChunk + q * 32 + (part + i) * 8;
#pragma unroll
        for (int half = 0; half < 2; half++) {
          x[i][half] = wordsOf(p.x + static_cast<long long>(half * 8 + g) * p.xStride, at, at < p.k && half * 8 + g < rows);
#pragma unroll
          for (int r = 0; r < R; r++) {
            int column = first + r * 16 + half * 8 + g;
            w[i][r][half] = storedWords<TYPE>(p.w, static_cast<long long>(column) * p.wStride + at, at < p.k && column < cols);
          }
        }
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; i++) multiplyWords<R>(sums, w[i], x[i]);
    }
}

// In dynamic shared memory, at a multiple of kTable: the codebook once for each lane's bank, and behind it what nested scales are made of.
constexpr unsigned kTable = 16 * 32 * sizeof(float);
__device__ __forceinline__ unsigned tableAt(const void* room) { return (sharedAddress(room) + kTable - 1) / kTable * kTable; }
__device__ __forceinline__ float sharedFloat(unsigned at) {
  float y;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(y) : "r"(at));
  return y;
}

// what the code at bit P of a word stands for; `lane`: the lane's bank of the table, whose place has no bits of an offset
template <int P> __device__ __forceinline__ float valueAt(unsigned word, unsigned lane) {
  return sharedFloat(((P >= 7 ? word >> (P >= 7 ? P - 7 : 0) : word << (P >= 7 ? 0 : 7 - P)) & (kTable - 128)) | lane);
}
// 8 codes, the even element in the high nibble of each byte, as words of bf16
__device__ __forceinline__ uint4 decoded(unsigned word, float scale, unsigned lane) {
  return make_uint4(
      pack(__fmul_rn(valueAt<4>(word, lane), scale), __fmul_rn(valueAt<0>(word, lane), scale)),
      pack(__fmul_rn(valueAt<12>(word, lane), scale), __fmul_rn(valueAt<8>(word, lane), scale)),
      pack(__fmul_rn(valueAt<20>(word, lane), scale), __fmul_rn(valueAt<16>(word, lane), scale)),
      pack(__fmul_rn(valueAt<28>(word, lane), scale), __fmul_rn(valueAt<24>(word, lane), scale)));
}

// Of a chunk, what a lane reads of its columns: 32 codes each, which share a scale; that is absmax, or nested the code of it and its own scale.
template <int R> struct FewRead {
  uint4 codes[R][2];
  float outer[R][2];
  unsigned char inner[R][2];

  __device__ __forceinline__ void read(const FewPart& p, int cols, int at, int shift, int shift2) {
    int g = threadIdx.x % 32 / 4, first = blockIdx.x * 16 * R;
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int column = first + r * 16 + half * 8 + g;
        codes[r][half] = make_uint4(0, 0, 0, 0);
        outer[r][half] = 0;
        inner[r][half] = 0;
        if (at >= p.k || column >= cols) continue;
        long long element = static_cast<long long>(column) * p.k + at;
        unsigned block = static_cast<unsigned>(element >> shift);
        codes[r][half] = __ldg(reinterpret_cast<const uint4*>(static_cast<const unsigned char*>(p.w) + element / 2));
        outer[r][half] = p.quant.absmax ? p.quant.absmax[block] : p.quant.absmax2[block >> shift2];
        if (!p.quant.absmax) inner[r][half] = p.quant.absmax8[block];
      }
  }
  // as Quant::scale has it
  __device__ __forceinline__ float scale(const Quant& quant, unsigned code2, int r, int half) const {
    float own = outer[r][half];
    return quant.absmax ? own : __fadd_rn(__fmul_rn(sharedFloat(code2 + 4 * inner[r][half]), own), quant.offset);
  }
};

// an NF4 weight, its next chunk on the way while one is multiplied
template <int R> __device__ void addNf4(FewSums<R>& sums, const FewPart& p, int rows, int cols, int warp, int warps, unsigned table) {
  int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  int shift = 31 - __clz(p.quant.blocksize), shift2 = p.quant.absmax ? 0 : 31 - __clz(p.quant.blocksize2);
  unsigned values = table | lane * 4;
  FewRead<R> now, next;
  now.read(p, cols, warp * kFewChunk + q * 32, shift, shift2);
  for (int chunk = warp; chunk * kFewChunk < p.k; chunk += warps) {
    int at = chunk * kFewChunk + q * 32;
    uint4 x[2][4];
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        x[half][i] = wordsOf(p.x + static_cast<long long>(half * 8 + g) * p.xStride, at + 8 * i, at < p.k && half * 8 + g < rows);
    next.read(p, cols, at + warps * kFewChunk, shift, shift2);
    float scale[R][2];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int half = 0; half < 2; half++) scale[r][half] = now.scale(p.quant, table + kTable, r, half);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      uint4 dense[R][2];
#pragma unroll
      for (int r = 0; r < R; r++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const uint4& v = now.codes[r][half];
          dense[r][half] = decoded(i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w, scale[r][half], values);
        }
      const uint4 own[2] = {x[0][i], x[1][i]};
      multiplyWords<R>(sums, dense, own);
    }
    now = next;
  }
}

// grid: ⌈columns of y / 16 R⌉; dynamic shared memory: the table, later (warps, 16, 16 R) sums
template <int R> __device__ void productOfFew(const Few& p) {
  extern __shared__ __align__(16) float room[];
  float* partial = room;
  int warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32, first = blockIdx.x * 16 * R;
  FewSums<R> sums = {};
  for (int i = 0; i < p.count; i++) {
    const FewPart& part = p.parts[i];
    if (part.type == kFewNf4) {
      __syncthreads();
      float* table = room + (tableAt(room) - sharedAddress(room)) / sizeof(float);
      for (int j = threadIdx.x; j < 16 * 32; j += blockDim.x) table[j] = part.quant.codebook[j / 32];
      for (int j = threadIdx.x; j < 256 && !part.quant.absmax; j += blockDim.x) table[16 * 32 + j] = part.quant.code2[j];
      __syncthreads();
      addNf4<R>(sums, part, p.rows, p.cols, warp, warps, tableAt(room));
    } else if (part.type == 0) addStored<R, 0>(sums, part, p.rows, p.cols, warp, warps);
    else if (part.type == 1) addStored<R, 1>(sums, part, p.rows, p.cols, warp, warps);
    else addStored<R, 2>(sums, part, p.rows, p.cols, warp, warps);
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < R; r++)
#pragma unroll
    for (int t = 0; t < 2; t++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int column = r * 16 + i / 2 * 8 + lane / 4, row = t * 8 + lane % 4 * 2 + i % 2;
        partial[(warp * kFewRows + row) * 16 * R + column] = sums[r][t][i];
      }
  __syncthreads();
  for (int i = threadIdx.x; i < p.rows * 16 * R; i += blockDim.x) {
    int row = i / (16 * R), column = i % (16 * R), at = first + column;
    if (at >= p.cols) continue;
    float sum = 0;
    for (int w = 0; w < warps; w++) sum += partial[(w * kFewRows + row) * 16 * R + column];
    float y = p.alpha * sum;
    if (p.bias) y += loadStored(p.bias, p.biasType, at);
    if (p.addend) y += toFloat(p.addend[static_cast<long long>(row) * p.addendStride + at]);
    p.y[static_cast<long long>(row) * p.yStride + at] = fromFloat<bf16>(y);
  }
}
