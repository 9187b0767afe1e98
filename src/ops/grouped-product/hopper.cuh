// y (M, N) of grouped products in bf16 on Hopper, summed in f32 over all parts and rounded once. A block owns 128 rows of one expert; a
// warpgroup has tiles of x and w copied into a ring of shared memory, part after part, and with NF4 decodes w's codes into it; two warpgroups
// of 64 rows each multiply what has come, where they have rows. Blocks stay and walk the tiles in a fixed order, an expert's beside one another.
#pragma once
#include "../cuda.cuh"
#include "../nf4.cuh"
#include "../hopper.cuh"
#include "../hopper-product.cuh"

constexpr int kParts = 8;
struct Maps {
  Map x[kParts], w[kParts];
};
struct Codes {
  const unsigned char* at;  // null: w comes by its map
  Quant quant;
};
struct Grouped {
  Codes codes[kParts];
  const int* offsets;
  bf16* y;
  int offsetsStride, yStride;
  int experts, n, parts, k[kParts];
  float alpha;
};

constexpr int kRows = 128, kProducers = 128;

template <int N> struct Ours {
  static constexpr int STAGES = N == 256 ? 4 : 6, X = 2 * kBox, STAGE = X + N * 128;
  struct Shared {
    unsigned char tiles[STAGES][STAGE], out[2][kBox];
    Barrier full[STAGES], empty[STAGES];
    float codebooks[kParts][16];
    int tilesBefore[1];  // of each expert, and of all
  };
};

struct Tile {
  int expert, row, end, column;  // rows up to `end` are the expert's
};
struct Walk {
  const Grouped& g;
  const int* tilesBefore;
  int columns, width;
  __device__ Walk(const Grouped& g, const int* tilesBefore, int width) : g(g), tilesBefore(tilesBefore), columns((g.n + width - 1) / width), width(width) {}
  __device__ int count() const { return tilesBefore[g.experts] * columns; }
  __device__ Tile at(int index) const {
    int high = index / columns, first = 0, beyond = g.experts;
    while (beyond - first > 1) {
      int middle = (first + beyond) / 2;
      if (tilesBefore[middle] <= high) first = middle;
      else beyond = middle;
    }
    const int* offset = g.offsets + static_cast<long long>(first) * g.offsetsStride;
    return {first, offset[0] + (high - tilesBefore[first]) * kRows, offset[g.offsetsStride], index % columns * width};
  }
};
// by one warp
__device__ __forceinline__ void countTiles(const Grouped& g, int* tilesBefore) {
  int lane = threadIdx.x % 32, before = 0;
  for (int first = 0; first < g.experts; first += 32) {
    int e = first + lane, own = 0;
    if (e < g.experts) {
      const int* offset = g.offsets + static_cast<long long>(e) * g.offsetsStride;
      own = (offset[g.offsetsStride] - offset[0] + kRows - 1) / kRows;
    }
    int upTo = own;
#pragma unroll
    for (int d = 1; d < 32; d *= 2) {
      int left = __shfl_up_sync(0xffffffffu, upTo, d);
      if (lane >= d) upTo += left;
    }
    if (e < g.experts) tilesBefore[e] = before + upTo - own;
    before += __shfl_sync(0xffffffffu, upTo, 31);
  }
  if (lane == 0) tilesBefore[g.experts] = before;
}

// x's rows of a step: 64 of them where the tile has no more
__device__ __forceinline__ int bytesOfRows(const Tile& t) { return t.row + 64 < t.end ? 2 * kBox : kBox; }
__device__ __forceinline__ void copyRows(unsigned char* to, const Map& x, Barrier* full, const Tile& t, int k) {
  copyTile(to, x, full, t.row, k);
  if (t.row + 64 < t.end) copyTile(to + kBox, x, full, t.row + 64, k);
}
template <int N, bool TRANS> __device__ __forceinline__ void copyWeight(unsigned char* to, const Map& w, Barrier* full, const Tile& t, int k) {
  if (!TRANS) {
    copyTileOf(to, w, full, t.expert, t.column, k);
  } else {
#pragma unroll
    for (int c = 0; c < N; c += 64) copyTileOf(to + c * 128, w, full, t.expert, k, t.column + c);
  }
}

// A run of 64 codes, which is 128 bytes of a stage: a row of w, or (`trans`) a row of one of its panels.
struct Run {
  uint4 codes[2];
  float scale;  // nested: of the block's scales
  int code;
  bool inside;
  __device__ __forceinline__ void read(const Codes& c, bool isInside, long long element) {
    inside = isInside;
    if (!inside) return;
    const uint4* from = reinterpret_cast<const uint4*>(c.at + element / 2);
    codes[0] = from[0], codes[1] = from[1];
    long long block = element / c.quant.blocksize;
    if (c.quant.absmax) scale = c.quant.absmax[block];
    else code = c.quant.absmax8[block], scale = c.quant.absmax2[block / c.quant.blocksize2];
  }
  // to row `row` (of its panel), whose 128 bytes begin at `to`
  __device__ __forceinline__ void write(unsigned char* to, int row, const Quant& quant, const float* codebook) const {
    float s = quant.absmax ? scale : __fadd_rn(__fmul_rn(quant.code2[code], scale), quant.offset);
    // the sixteen products in bf16: their low bytes and their high bytes, four to a word
    unsigned low[4], high[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float4 v = *reinterpret_cast<const float4*>(codebook + 4 * i);
      unsigned a = pack(__fmul_rn(v.x, s), __fmul_rn(v.y, s)), b = pack(__fmul_rn(v.z, s), __fmul_rn(v.w, s));
      low[i] = __byte_perm(a, b, 0x6420), high[i] = __byte_perm(a, b, 0x7531);
    }
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk++) {
      const uint4& four = codes[chunk / 4];
      unsigned word = chunk % 4 == 0 ? four.x : chunk % 4 == 1 ? four.y : chunk % 4 == 2 ? four.z : four.w;
      uint4 v;
      decode(word, low, high, v.x, v.y);
      decode(word >> 16, low, high, v.z, v.w);
      *reinterpret_cast<uint4*>(to + ((chunk ^ row & 7) << 4)) = v;
    }
  }
  __device__ __forceinline__ static void zero(unsigned char* to) {
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk++) *reinterpret_cast<uint4*>(to + (chunk << 4)) = {0, 0, 0, 0};
  }
  // Four codes, of which each nibble picks a byte of eight: its lower three bits one of two words, the highest between the two picked. The
  // first code of a byte is the upper nibble.
  __device__ __forceinline__ static void decode(unsigned word, const unsigned (&low)[4], const unsigned (&high)[4], unsigned& first, unsigned& second) {
    unsigned of = word & 0x7777, between = 0x3210 | (word >> 1 & 0x4444);
    unsigned l = __byte_perm(__byte_perm(low[0], low[1], of), __byte_perm(low[2], low[3], of), between);
    unsigned h = __byte_perm(__byte_perm(high[0], high[1], of), __byte_perm(high[2], high[3], of), between);
    first = __byte_perm(l, h, 0x4051), second = __byte_perm(l, h, 0x6273);
  }
};

// The producers' share of a step of w: run u is row u of w, or row u % 64 of panel u / 64.
template <int N, bool TRANS> struct Runs {
  static constexpr int COUNT = (N + kProducers - 1) / kProducers;
  Run run[COUNT];
  __device__ __forceinline__ void read(const Grouped& g, int part, const Tile& t, int k) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      int u = threadIdx.x % kProducers + i * kProducers, depth = g.k[part];
      int row = TRANS ? k + u % 64 : t.column + u, column = TRANS ? t.column + u / 64 * 64 : k;
      int rows = TRANS ? depth : g.n, columns = TRANS ? g.n : depth;
      run[i].read(g.codes[part], u < N && row < rows && column < columns, (static_cast<long long>(t.expert) * rows + row) * columns + column);
    }
  }
  __device__ __forceinline__ void write(unsigned char* to, const Quant& quant, const float* codebook) const {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      int u = threadIdx.x % kProducers + i * kProducers;
      if (run[i].inside) run[i].write(to + u * 128, u, quant, codebook);
      else if (u < N) Run::zero(to + u * 128);
    }
  }
};

template <int N, bool TRANS> __device__ __forceinline__ void produce(typename Ours<N>::Shared& s, const Maps& maps, const Grouped& g) {
  using O = Ours<N>;
  Walk walk(g, s.tilesBefore, N);
  Ring<O::STAGES> ring;
  for (int i = blockIdx.x; i < walk.count(); i += gridDim.x) {
    Tile t = walk.at(i);
    for (int p = 0; p < g.parts; p++) {
      for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
        unsigned char* stage = s.tiles[ring.stage];
        Barrier* full = &s.full[ring.stage];
        await(&s.empty[ring.stage], ring.parity ^ 1);
        arriveWith(full, bytesOfRows(t) + N * 128);
        copyRows(stage, maps.x[p], full, t, k);
        copyWeight<N, TRANS>(stage + O::X, maps.w[p], full, t, k);
      }
    }
  }
}

// the same by all of the warpgroup, of parts that may be codes; a `full` hears of each warp too
template <int N, bool TRANS> __device__ __forceinline__ void produceDecoded(typename Ours<N>::Shared& s, const Maps& maps, const Grouped& g) {
  using O = Ours<N>;
  bool leads = threadIdx.x % kProducers == 0;
  Walk walk(g, s.tilesBefore, N);
  Ring<O::STAGES> ring;
  for (int i = blockIdx.x; i < walk.count(); i += gridDim.x) {
    Tile t = walk.at(i);
    for (int p = 0; p < g.parts; p++) {
      bool coded = g.codes[p].at;
      Runs<N, TRANS> next;
      if (coded) next.read(g, p, t, 0);
      for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
        unsigned char* stage = s.tiles[ring.stage];
        Barrier* full = &s.full[ring.stage];
        await(&s.empty[ring.stage], ring.parity ^ 1);
        if (leads) {
          arriveWith(full, bytesOfRows(t) + (coded ? 0 : N * 128));
          copyRows(stage, maps.x[p], full, t, k);
          if (!coded) copyWeight<N, TRANS>(stage + O::X, maps.w[p], full, t, k);
        }
        if (coded) {
          Runs<N, TRANS> now = next;
          if (k + kDepth < g.k[p]) next.read(g, p, t, k + kDepth);
          now.write(stage + O::X, g.codes[p].quant, s.codebooks[p]);
          publishShared();
        }
        __syncwarp();
        if (threadIdx.x % 32 == 0) arrive(full);
      }
    }
  }
}

__device__ __forceinline__ void release(Barrier* empty) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(empty);
}

// the rows of a warpgroup, 64 columns at a time
template <int N> __device__ __forceinline__ void writeRows(const float (&c)[N / 2], unsigned char* panel, const Grouped& g, const Tile& t, int group) {
  int row = t.row + group * 64, thread = threadIdx.x % 128;
#pragma unroll
  for (int q = 0; q < N / 64; q++) {
    int column = t.column + q * 64;
    if (column >= g.n) continue;
    meet<128>(1 + group);  // what lay in the panel is written
    roundInto(sharedAddress(panel), c + q * 32);
    meet<128>(1 + group);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int r = i * 16 + thread / 8, chunk = thread % 8;
      if (row + r < t.end && column + chunk * 8 < g.n)
        *reinterpret_cast<uint4*>(g.y + static_cast<long long>(row + r) * g.yStride + column + chunk * 8) = *reinterpret_cast<const uint4*>(panel + r * 128 + ((chunk ^ r & 7) << 4));
    }
  }
}

template <int N, bool TRANS> __device__ __forceinline__ void consume(typename Ours<N>::Shared& s, const Grouped& g) {
  using O = Ours<N>;
  int group = threadIdx.x / 128;
  Walk walk(g, s.tilesBefore, N);
  Ring<O::STAGES> ring;
  for (int i = blockIdx.x; i < walk.count(); i += gridDim.x) {
    Tile t = walk.at(i);
    if (t.row + group * 64 >= t.end) {  // no row of this warpgroup
      for (int p = 0; p < g.parts; p++) {
        for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
          await(&s.full[ring.stage], ring.parity);
          release(&s.empty[ring.stage]);
        }
      }
      continue;
    }
    float c[N / 2];
    int add = 0, last = -1;
    for (int p = 0; p < g.parts; p++) {
      for (int k = kDepth; k <= g.k[p]; k += kDepth, ring.advance()) {
        await(&s.full[ring.stage], ring.parity);
        unsigned stage = sharedAddress(s.tiles[ring.stage]);
        multiplyStage<N, TRANS>(c, operand(stage + group * kBox), operand(stage + O::X, TRANS ? kBox : 16), add);
        if (last >= 0) release(&s.empty[last]);
        last = ring.stage, add = 1;
      }
      int rest = g.k[p] % kDepth;
      if (rest == 0) continue;
      await(&s.full[ring.stage], ring.parity);
      unsigned stage = sharedAddress(s.tiles[ring.stage]);
      multiplyRest<N, TRANS>(c, operand(stage + group * kBox), operand(stage + O::X, TRANS ? kBox : 16), rest, add);
      if (last >= 0) release(&s.empty[last]);
      last = ring.stage, add = 1, ring.advance();
    }
    waitProducts<0>();
    settle(c);
    release(&s.empty[last]);
#pragma unroll
    for (int j = 0; j < N / 2; j++) c[j] *= g.alpha;
    writeRows<N>(c, s.out[group], g, t, group);
  }
}

template <int N, bool TRANS, bool NF4> __device__ __forceinline__ void groupedProduct(const Maps& maps, const Grouped& g) {
  using O = Ours<N>;
  extern __shared__ unsigned char raw[];
  typename O::Shared& s = *reinterpret_cast<typename O::Shared*>(raw + (-sharedAddress(raw) & 1023));
  if (threadIdx.x < 32) {
    countTiles(g, s.tilesBefore);
  } else if (threadIdx.x == 32) {
    for (int p = 0; p < g.parts; p++) {
      prefetchMap(maps.x[p]);
      if (!g.codes[p].at) prefetchMap(maps.w[p]);
    }
    // an `empty` hears of the eight warps that multiply
    for (int i = 0; i < O::STAGES; i++) initBarrier(&s.full[i], NF4 ? 1 + kProducers / 32 : 1), initBarrier(&s.empty[i], 8);
    publishBarriers();
  } else if (threadIdx.x >= 256) {
    int p = threadIdx.x % kProducers / 16;
    if (p < g.parts && g.codes[p].at) s.codebooks[p][threadIdx.x % 16] = g.codes[p].quant.codebook[threadIdx.x % 16];
  }
  __syncthreads();
  if (threadIdx.x < 256) {
    moreRegisters<NF4 ? 208 : 232>();
    consume<N, TRANS>(s, g);
  } else {
    fewerRegisters<NF4 ? 88 : 40>();
    if (NF4) produceDecoded<N, TRANS>(s, maps, g);
    else if (threadIdx.x == 256) produce<N, TRANS>(s, maps, g);
  }
}

#define GROUPED(N, SUFFIX, TRANS, NF4)                                                                                                                     \
  extern "C" __global__ void __launch_bounds__(384, 1) grouped_hopper_##N##SUFFIX(const __grid_constant__ Maps maps, const __grid_constant__ Grouped g) { \
    groupedProduct<N, TRANS, NF4>(maps, g);                                                                                                               \
  }
