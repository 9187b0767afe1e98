// What the kernels of grouped products share: parts as they lie in memory, and which expert a tile of rows belongs to. Tiles never cross
// experts; a grid has room for as many as any routing makes, blocks beyond leave at once.
#pragma once
#include "../cuda.cuh"
#include "../nf4.cuh"

constexpr int kParts = 8;

// A matrix whose elements are read one by one, or eight at a time where `wide` says that rows begin where that may be.
struct Source {
  const void* at;
  int stride;
  int type;  // as storedType numbers them, 3: NF4
  int wide, padding;
};
constexpr int kNf4 = 3;

struct Part {
  Source x, w;
  Quant quant;
  int k, padding;
};
struct Product {
  Part parts[kParts];
  const int* offsets;
  void* y;
  int offsetsStride, yStride;
  int experts, n, count;  // of parts
  float alpha;
};

struct Rows {
  int expert, from, to;
};
// the warp's: rows of the tile that is `index`th when every expert's rows are cut into pieces of HIGH; false where there are fewer tiles
template <int HIGH> __device__ __forceinline__ bool tileRows(const int* offsets, int stride, int experts, int index, Rows& rows) {
  int lane = threadIdx.x % 32;
  for (int first = 0; first < experts; first += 32) {
    int e = first + lane;
    bool inside = e < experts;
    int from = inside ? offsets[static_cast<long long>(e) * stride] : 0, to = inside ? offsets[static_cast<long long>(e + 1) * stride] : 0;
    int own = (to - from + HIGH - 1) / HIGH, upTo = own;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      int left = __shfl_up_sync(0xffffffffu, upTo, d);
      if (lane >= d) upTo += left;
    }
    unsigned beyond = __ballot_sync(0xffffffffu, upTo > index);
    if (beyond) {
      int at = __ffs(beyond) - 1;
      int before = __shfl_sync(0xffffffffu, upTo - own, at);
      rows.expert = first + at;
      rows.from = __shfl_sync(0xffffffffu, from, at) + (index - before) * HIGH;
      rows.to = __shfl_sync(0xffffffffu, to, at);
      return true;
    }
    index -= __shfl_sync(0xffffffffu, upTo, 31);
  }
  return false;
}

// the parts' codebooks, read by all after the next barrier
__device__ __forceinline__ void loadCodebooks(const Product& p, float (&codebooks)[kParts][16]) {
  int part = threadIdx.x / 16;
  if (part < p.count && p.parts[part].w.type == kNf4) codebooks[part][threadIdx.x % 16] = p.parts[part].quant.codebook[threadIdx.x % 16];
}

// element i, counted from the beginning of the matrix
__device__ __forceinline__ float elementOf(const Source& s, const Quant& quant, const float* codebook, long long i) {
  if (s.type != kNf4) return loadStored(s.at, s.type, i);
  unsigned codes = static_cast<const unsigned char*>(s.at)[i / 2];
  return __fmul_rn(codebook[i % 2 ? codes & 15 : codes >> 4], quant.scale(i / quant.blocksize));
}
