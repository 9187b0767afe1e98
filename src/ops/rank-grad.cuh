// Σ over tokens of few ranks (T, R) by many channels (T, C) on tensor cores (sm_80 and later): the gradients of both low-rank factors, bound by
// reading the channels once. A block owns 128 channels of a share of the tokens and takes 32 of those at a time, the next ones on their way. Of
// several shares the block that ends last adds the sums up, in the order of shares: how it is summed is a matter of the shape alone.
// Comes after cuda.cuh and mma.cuh.
#pragma once

/** `R`: ranks, a multiple of 16 */
template <int R> struct RankGrad {
  static constexpr int kThreads = 256, kStages = R > 32 ? 4 : 5, kTokens = 32, kChannels = 128;
  // elements from a row to the next: eight rows that a matrix is read from lie in banks of their own
  static constexpr int kWide = kChannels + 8, kNarrow = R + 8;
  static constexpr int kStage = kTokens * (kWide + kNarrow);
};

// of the blocks that own the same channels, how many have ended: 0 before and after every launch
constexpr int kMostColumns = 4096;
__device__ unsigned arrived[kMostColumns];

/** nothing is dropped: what dropping (dropout-product/ranks.cuh) does otherwise */
struct Whole {
  // what is known of the 16 tokens from `first` on, a tile ahead
  __device__ void read(int) {}
  __device__ void begin() {}
  // `two`: of a channel the lane's tokens 2q and 2q + 1 of the tile's first eight (half 0) or last eight (1)
  __device__ unsigned operator()(unsigned two, int, int) const { return two; }
};

struct RankGradArgs {
  const bf16 *narrow, *wide;
  float *dW, *partials;
  int narrowStride, wideStride, dWStride, tokens, cols, ranks;
  int each;  // tokens of a share
  float scale;
};

// dW += scale · narrowᵀ · wide; BY_RANK: a row of dW is a rank (R, C), else a channel (C, R). Ranks and channels are multiples of 8. `partials`, of
// more than one share: (share, block, R · 128)
template <int R, bool BY_RANK, class MASK> __device__ void rankGrad(const RankGradArgs& a, MASK mask) {
  using G = RankGrad<R>;
  extern __shared__ __align__(16) unsigned char room[];
  __shared__ bool last;
  int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  int base = blockIdx.x * G::kChannels, from = blockIdx.y * a.each, to = min(from + a.each, a.tokens);
  int count = (to - from + G::kTokens - 1) / G::kTokens;
  bf16* stages = reinterpret_cast<bf16*>(room);
  auto copy = [&](int i) {
    bf16 *x = stages + i % G::kStages * G::kStage, *u = x + G::kTokens * G::kWide;
    int first = from + i * G::kTokens;
#pragma unroll
    for (int piece = threadIdx.x; piece < G::kTokens * G::kChannels / 8; piece += G::kThreads) {
      int t = piece / (G::kChannels / 8), c = piece % (G::kChannels / 8) * 8;
      bool inside = first + t < to && base + c < a.cols;
      copyAsync(x + t * G::kWide + c, inside ? a.wide + static_cast<long long>(first + t) * a.wideStride + base + c : a.wide, inside);
    }
    for (int piece = threadIdx.x; piece < G::kTokens * R / 8; piece += G::kThreads) {
      int t = piece / (R / 8), r = piece % (R / 8) * 8;
      bool inside = first + t < to && r < a.ranks;
      copyAsync(u + t * G::kNarrow + r, inside ? a.narrow + static_cast<long long>(first + t) * a.narrowStride + r : a.narrow, inside);
    }
  };
#pragma unroll
  for (int i = 0; i < G::kStages - 1; i++) {
    if (i < count) copy(i);
    commitCopies();
  }
  // a warp multiplies 32 channels of 16 of the tokens
  int channel = warp % 4 * 32, token = warp / 4 * 16;
  float sums[R / 16][4][4] = {};
  mask.read(from + token);
  for (int i = 0; i < count; i++) {
    mask.begin();
    mask.read(from + (i + 1) * G::kTokens + token);
    waitCopies<G::kStages - 2>();
    __syncthreads();  // all copies of this stage are there, and the stage before is read
    if (i + G::kStages - 1 < count) copy(i + G::kStages - 1);
    commitCopies();
    const bf16 *x = stages + i % G::kStages * G::kStage, *u = x + G::kTokens * G::kWide;
    // of every eight channels one, of it two tokens and the two that are eight further on
    unsigned v[4][2];
#pragma unroll
    for (int pair = 0; pair < 2; pair++) {
      Fragment f;
      loadBTransposed(f, x, G::kWide, token, channel + pair * 16);
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int j = pair * 2 + e / 2;
        v[j][e % 2] = mask(f[e], e % 2, base + channel + j * 8 + g);
      }
    }
#pragma unroll
    for (int m = 0; m < R / 16; m++) {
      Fragment f;
      loadATransposed(f, u, G::kNarrow, token, m * 16);
#pragma unroll
      for (int j = 0; j < 4; j++) multiply(sums[m][j], f, v[j][0], v[j][1]);
    }
  }
  auto add = [&](int rank, int c, float sum) {
    if (rank >= a.ranks || base + c >= a.cols) return;
    a.dW[BY_RANK ? static_cast<long long>(rank) * a.dWStride + base + c : static_cast<long long>(base + c) * a.dWStride + rank] += a.scale * sum;
  };
  constexpr int kSums = R * G::kChannels;
  auto partialsOf = [&](int share) { return a.partials + (static_cast<long long>(share) * gridDim.x + blockIdx.x) * kSums; };
  float(*parts)[16][G::kChannels + 4] = reinterpret_cast<float(*)[16][G::kChannels + 4]>(room);
#pragma unroll
  for (int m = 0; m < R / 16; m++) {
    __syncthreads();  // the stages, or the 16 ranks before, are read
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) parts[warp / 4][e / 2 * 8 + g][channel + j * 8 + q * 2 + e % 2] = sums[m][j][e];
    }
    __syncthreads();
#pragma unroll 2
    for (int i = threadIdx.x; i < 16 * G::kChannels; i += G::kThreads) {
      int r = BY_RANK ? i / G::kChannels : i % 16, c = BY_RANK ? i % G::kChannels : i / 16;
      float sum = parts[0][r][c] + parts[1][r][c];
      int rank = m * 16 + r;
      if (gridDim.y == 1) add(rank, c, sum);
      else partialsOf(blockIdx.y)[BY_RANK ? rank * G::kChannels + c : c * R + rank] = sum;
    }
  }
  if (gridDim.y == 1) return;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(arrived + blockIdx.x, 1u) == gridDim.y - 1;
  __syncthreads();
  if (!last) return;
  __threadfence();
  if (threadIdx.x == 0) arrived[blockIdx.x] = 0;
#pragma unroll 1
  for (int i = threadIdx.x; i < kSums; i += G::kThreads) {
    float sum = 0;
#pragma unroll 8
    for (int share = 0; share < gridDim.y; share++) sum += __ldcg(partialsOf(share) + i);
    add(BY_RANK ? i / G::kChannels : i % R, BY_RANK ? i % G::kChannels : i / R, sum);
  }
}
