// Σ over tokens of few ranks (T, R) by many channels (T, C) on tensor cores (sm_80 and later): the gradients of both low-rank factors, bound by
// reading the channels once. A block owns 32 channels, its warps take 16 tokens in turn through stages of their own in shared memory, so that
// no warp waits for another; their sums are added in the order of warps. How it is summed is a matter of the shape alone.
// Comes after cuda.cuh and mma.cuh.
#pragma once

/** `R`: ranks, a multiple of 16 */
template <int R> struct RankGrad {
  static constexpr int kWarps = R > 16 ? 8 : 16, kThreads = 32 * kWarps, kBlocks = R > 16 ? 1 : 2;
  static constexpr int kStages = 3, kTokens = 16, kChannels = 32;
  // elements from a row to the next: eight rows that a matrix is read from lie in banks of their own
  static constexpr int kWide = kChannels + 8, kNarrow = R + 8;
  static constexpr int kStage = kTokens * (kWide + kNarrow);
};

/** nothing is dropped: what dropping (dropout-product/ranks.cuh) does otherwise */
struct Whole {
  // what is known of the 16 tokens from `first` on, a tile ahead
  __device__ void read(int) {}
  __device__ void begin() {}
  // `two`: of a channel the lane's tokens 2q and 2q + 1 of the tile's first eight (half 0) or last eight (1)
  __device__ unsigned operator()(unsigned two, int, int) const { return two; }
};

// dW += scale · narrowᵀ · wide; BY_RANK: a row of dW is a rank (R, C), else a channel (C, R). Ranks and channels are multiples of 8.
template <int R, bool BY_RANK, class MASK>
__device__ void rankGrad(int tokens, int cols, int ranks, const bf16* narrow, int narrowStride, const bf16* wide, int wideStride, float* dW,
                         int dWStride, float scale, MASK mask) {
  using G = RankGrad<R>;
  extern __shared__ __align__(16) unsigned char room[];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  int base = blockIdx.x * G::kChannels, tiles = (tokens + G::kTokens - 1) / G::kTokens;
  bf16* stages = reinterpret_cast<bf16*>(room) + warp * G::kStages * G::kStage;
  auto copy = [&](int tile, int stage) {
    bf16 *x = stages + stage * G::kStage, *u = x + G::kTokens * G::kWide;
#pragma unroll
    for (int i = lane; i < G::kTokens * G::kChannels / 8; i += 32) {
      int t = i / (G::kChannels / 8), c = i % (G::kChannels / 8) * 8, token = tile * G::kTokens + t;
      bool inside = token < tokens && base + c < cols;
      copyAsync(x + t * G::kWide + c, inside ? wide + static_cast<long long>(token) * wideStride + base + c : wide, inside);
    }
#pragma unroll
    for (int i = lane; i < G::kTokens * R / 8; i += 32) {
      int t = i / (R / 8), r = i % (R / 8) * 8, token = tile * G::kTokens + t;
      bool inside = token < tokens && r < ranks;
      copyAsync(u + t * G::kNarrow + r, inside ? narrow + static_cast<long long>(token) * narrowStride + r : narrow, inside);
    }
  };
#pragma unroll
  for (int s = 0; s < G::kStages - 1; s++) {
    if (warp + s * G::kWarps < tiles) copy(warp + s * G::kWarps, s);
    commitCopies();
  }
  float sums[R / 16][4][4] = {};
  mask.read(warp * G::kTokens);
  for (int tile = warp, stage = 0; tile < tiles; tile += G::kWarps, stage = (stage + 1) % G::kStages) {
    mask.begin();
    mask.read((tile + G::kWarps) * G::kTokens);
    waitCopies<G::kStages - 2>();
    __syncwarp();  // the other lanes' copies are there, and what they read of the stage before is read
    int ahead = tile + (G::kStages - 1) * G::kWarps;
    if (ahead < tiles) copy(ahead, (stage + G::kStages - 1) % G::kStages);
    commitCopies();
    const bf16 *x = stages + stage * G::kStage, *u = x + G::kTokens * G::kWide;
    // of every eight channels one, of it two tokens and the two that are eight further on
    unsigned v[4][2];
#pragma unroll
    for (int pair = 0; pair < 2; pair++) {
      Fragment f;
      loadBTransposed(f, x, G::kWide, 0, pair * 16);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int j = pair * 2 + i / 2;
        v[j][i % 2] = mask(f[i], i % 2, base + j * 8 + g);
      }
    }
#pragma unroll
    for (int m = 0; m < R / 16; m++) {
      Fragment f;
      loadATransposed(f, u, G::kNarrow, 0, m * 16);
#pragma unroll
      for (int j = 0; j < 4; j++) multiply(sums[m][j], f, v[j][0], v[j][1]);
    }
  }
  float(*parts)[16][G::kChannels + 1] = reinterpret_cast<float(*)[16][G::kChannels + 1]>(room);
#pragma unroll
  for (int m = 0; m < R / 16; m++) {
    __syncthreads();  // the stages, or the 16 ranks before, are read
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) parts[warp][i / 2 * 8 + g][j * 8 + q * 2 + i % 2] = sums[m][j][i];
    }
    __syncthreads();
    for (int i = threadIdx.x; i < 16 * G::kChannels; i += G::kThreads) {
      int r = BY_RANK ? i / G::kChannels : i % 16, c = BY_RANK ? i % G::kChannels : i / 16;
      int rank = m * 16 + r;
      if (rank >= ranks || base + c >= cols) continue;
      float sum = 0;
#pragma unroll
      for (int w = 0; w < G::kWarps; w++) sum += parts[w][r][c];
      float* to = dW + (BY_RANK ? static_cast<long long>(rank) * dWStride + base + c : static_cast<long long>(base + c) * dWStride + rank);
      *to += scale * sum;
    }
  }
}
