// y (M, N) = alpha · Σ_p x_p · w_pᵀ + bias + addend in bf16, summed in f32 over all parts and rounded once. Two blocks of a cluster own 128 rows
// each of the same columns and read w together. In a block one warp has tiles copied into a ring of shared memory, part after part, the
// addend last; two warpgroups of 64 rows each multiply what has come. Blocks stay and walk the tiles in a fixed order.
#pragma once
#include "../cuda.cuh"
#include "../hopper.cuh"
#include "../hopper-product.cuh"

constexpr int kParts = 8;
struct Maps {
  Map x[kParts], w[kParts], y, addend;
};
struct Sizes {
  int m, n, parts, k[kParts];
};
struct Rest {
  float alpha;
  int hasAddend, biasType, padding;
  const void* bias;
};

constexpr int kRows = 128;  // of a tile
constexpr int kRowTiles = 8;  // pairs of row tiles that are walked together, so that x and w are found in L2

template <int N> struct Large {
  static constexpr int STAGES = N == 128 ? 6 : 4, X = 2 * kBox, STAGE = X + N * 128;
  static constexpr int ADDENDS = (N + 127) / 128;  // stages that an addend takes, 128 columns each
  struct Shared {
    unsigned char tiles[STAGES][STAGE], out[2][2][kBox];
    Barrier full[STAGES], empty[STAGES];
  };
};

// the tile that is `index`th: its pair of row tiles and its columns
struct Walk {
  int rows, columns;
  __device__ Walk(const Sizes& s, int width) : rows((s.m + 2 * kRows - 1) / (2 * kRows)), columns((s.n + width - 1) / width) {}
  __device__ int count() const { return rows * columns; }
  __device__ void at(int index, int& row, int& column) const {
    int first = index / (kRowTiles * columns) * kRowTiles, high = min(kRowTiles, rows - first), i = index - first * columns;
    row = first + i % high, column = i / high;
  }
};

template <int N, bool TRANS> __device__ __forceinline__ void produce(typename Large<N>::Shared& s, const Maps& maps, const Sizes& sizes, bool addend) {
  using L = Large<N>;
  int rank = clusterRank();
  Walk walk(sizes, N);
  Ring<L::STAGES> ring;
  for (int t = blockIdx.x / 2; t < walk.count(); t += gridDim.x / 2) {
    int row, column;
    walk.at(t, row, column);
    row = (2 * row + rank) * kRows, column *= N;
    for (int p = 0; p < sizes.parts; p++) {
      for (int k = 0; k < sizes.k[p]; k += kDepth, ring.advance()) {
        unsigned char* stage = s.tiles[ring.stage];
        Barrier* full = &s.full[ring.stage];
        await(&s.empty[ring.stage], ring.parity ^ 1);
        arriveWith(full, L::STAGE);
        copyTile(stage, maps.x[p], full, row, k);
        if (!TRANS) {
          int half = rank * (N / 2);
          copyTileTo(stage + L::X + half * 128, maps.w[p], full, column + half, k, 3);
        } else {
          // of three panels the first block copies two
#pragma unroll
          for (int c = 0; c < N; c += 64)
            if ((c >= (N + 64) / 128 * 64) == rank) copyTileTo(stage + L::X + c * 128, maps.w[p], full, k, column + c, 3);
        }
      }
    }
    if (!addend) continue;
    for (int c = 0; c < N; c += 128, ring.advance()) {
      Barrier* full = &s.full[ring.stage];
      await(&s.empty[ring.stage], ring.parity ^ 1);
      arriveWith(full, 4 * kBox);
      // each block copies half of the columns for both: nobody is ahead of the other's `empty`
      for (int b = 0; b < 2; b++) copyTileTo(s.tiles[ring.stage] + rank * 2 * kBox, maps.addend, full, row + (b - rank) * kRows, column + c + rank * 64, 1 << b);
    }
  }
}

// this warp is done with a stage that both blocks fill
__device__ __forceinline__ void release(Barrier* empty) {
  __syncwarp();
  if (threadIdx.x % 32 < 2) arriveAt(empty, threadIdx.x % 32);
}

// c = alpha · c + the addend, 128 columns from a stage
template <int N> __device__ __forceinline__ void addStage(float (&c)[N / 2], unsigned stage, int group, int first) {
#pragma unroll
  for (int q = 0; q < 8; q++) {
    if (first + q * 16 >= N) break;
    Fragment m;
    loadMatrices(m, matrixAt(stage + q / 4 * 2 * kBox + group * kBox, q % 4));
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float* to = c + first / 2 + q * 8 + i * 2;
      to[0] += __uint_as_float(m[i] << 16), to[1] += __uint_as_float(m[i] & 0xffff0000u);
    }
  }
}

template <int N> __device__ __forceinline__ void addBias(float (&c)[N / 2], const Rest& rest, int column, int n) {
#pragma unroll
  for (int i = 0; i < N / 8; i++) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int at = column + i * 8 + threadColumn() + h;
      float b = at < n ? loadStored(rest.bias, rest.biasType, at) : 0;
      c[4 * i + h] += b, c[4 * i + 2 + h] += b;
    }
  }
}

// rounds and writes 64 columns at a time through two buffers
template <int N> __device__ __forceinline__ void writeOut(const float (&c)[N / 2], unsigned char (&out)[2][kBox], const Map& y, int group, int row, int column, int n) {
  bool leads = threadIdx.x % 128 == 0;
#pragma unroll
  for (int q = 0; q < N / 64; q++) {
    // what was written out of this buffer before is out; of three panels the first comes after one of the same buffer
    if (leads) {
      if (N / 64 % 2 && q == 0) waitStores<0>();
      else waitStores<1>();
    }
    meet<128>(1 + group);
    roundInto(sharedAddress(out[q % 2]), c + q * 32);
    publishShared();
    meet<128>(1 + group);
    if (leads) {
      if (column + q * 64 < n) storeTile(y, out[q % 2], row, column + q * 64);
      commitStores();
    }
  }
}

template <int N, bool TRANS> __device__ __forceinline__ void consume(typename Large<N>::Shared& s, const Maps& maps, const Sizes& sizes, const Rest& rest) {
  using L = Large<N>;
  int rank = clusterRank(), group = threadIdx.x / 128;
  Walk walk(sizes, N);
  Ring<L::STAGES> ring;
  for (int t = blockIdx.x / 2; t < walk.count(); t += gridDim.x / 2) {
    float c[N / 2];
    int add = 0, last = -1;
    for (int p = 0; p < sizes.parts; p++) {
      for (int k = kDepth; k <= sizes.k[p]; k += kDepth, ring.advance()) {
        await(&s.full[ring.stage], ring.parity);
        unsigned stage = sharedAddress(s.tiles[ring.stage]);
        multiplyStage<N, TRANS>(c, operand(stage + group * kBox), operand(stage + L::X, TRANS ? kBox : 16), add);
        if (last >= 0) release(&s.empty[last]);
        last = ring.stage, add = 1;
      }
      int rest = sizes.k[p] % kDepth;
      if (rest == 0) continue;
      await(&s.full[ring.stage], ring.parity);
      unsigned stage = sharedAddress(s.tiles[ring.stage]);
      multiplyRest<N, TRANS>(c, operand(stage + group * kBox), operand(stage + L::X, TRANS ? kBox : 16), rest, add);
      if (last >= 0) release(&s.empty[last]);
      last = ring.stage, add = 1, ring.advance();
    }
    waitProducts<0>();
    settle(c);
    release(&s.empty[last]);
#pragma unroll
    for (int i = 0; i < N / 2; i++) c[i] *= rest.alpha;
    if (rest.hasAddend) {
#pragma unroll
      for (int h = 0; h < L::ADDENDS; h++, ring.advance()) {
        await(&s.full[ring.stage], ring.parity);
        addStage<N>(c, sharedAddress(s.tiles[ring.stage]), group, h * 128);
        release(&s.empty[ring.stage]);
      }
    }
    int row, column;
    walk.at(t, row, column);
    if (rest.bias) addBias<N>(c, rest, column * N, sizes.n);
    writeOut<N>(c, s.out[group], maps.y, group, (2 * row + rank) * kRows + group * 64, column * N, sizes.n);
  }
  if (threadIdx.x % 128 == 0) waitStores<0>();
}

template <int N, bool TRANS> __device__ __forceinline__ void largeProduct(const Maps& maps, const Sizes& sizes, const Rest& rest) {
  using L = Large<N>;
  extern __shared__ unsigned char raw[];
  typename L::Shared& s = *reinterpret_cast<typename L::Shared*>(raw + (-sharedAddress(raw) & 1023));
  if (threadIdx.x == 0) {
    for (int p = 0; p < sizes.parts; p++) prefetchMap(maps.x[p]), prefetchMap(maps.w[p]);
    // an `empty` hears of eight warps in each of both blocks
    for (int i = 0; i < L::STAGES; i++) initBarrier(&s.full[i], 1), initBarrier(&s.empty[i], 16);
    publishBarriers();
  }
  clusterSync();
  if (threadIdx.x < 256) {
    moreRegisters<232>();
    consume<N, TRANS>(s, maps, sizes, rest);
  } else {
    fewerRegisters<40>();
    if (threadIdx.x == 256) produce<N, TRANS>(s, maps, sizes, rest.hasAddend);
    __syncwarp();
  }
  clusterSync();
}

#define LARGE(N, SUFFIX, TRANS)                                                                                        \
  extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1)                                       \
      product_large_##N##SUFFIX(const __grid_constant__ Maps maps, const __grid_constant__ Sizes sizes, const __grid_constant__ Rest rest) { \
    largeProduct<N, TRANS>(maps, sizes, rest);                                                                         \
  }
