// A dropped input's products with few ranks on tensor cores (sm_80 and later): x is read, or dX written, once, 16 bytes a lane, and the mask
// drawn in registers. Which channels or tokens of a tile a lane holds is free where they are summed over or written by the lane itself, so
// no tile goes through shared memory. Sums are those of a warp, added in the order of warps: a matter of the shape alone.
#pragma once
#include "../bits.cuh"
#include "../cuda.cuh"
#include "../mma.cuh"

struct Mask {
  const int *row, *depth, *stepInts;
  unsigned module, threshold;
};

__device__ __forceinline__ unsigned keyOf(const Mask& m, int token) { return tokenKey(m.stepInts, m.row[token], m.depth[token], m.module); }
__device__ __forceinline__ bool kept(unsigned key, int channel, unsigned threshold) { return channelBits(key, channel) >= threshold; }

// two neighbouring channels, those that are dropped 0
__device__ __forceinline__ unsigned drop(unsigned two, unsigned key, int channel, unsigned threshold) {
  return two & ((kept(key, channel, threshold) ? 0x0000ffffu : 0u) | (kept(key, channel + 1, threshold) ? 0xffff0000u : 0u));
}

constexpr int kWarps = 16;  // of a block that sums over channels or tokens

// u (T, R) = scale · Σ over kept c of x (T, C) · a (R, C): a block owns 16 · HIGH tokens, its warps take 32 channels in turn. A lane has eight
// neighbouring channels of a token or a rank: the first four in one product of the tensor cores, the others in the next.
template <int HIGH, int R>
__device__ void dropoutProduct(int tokens, int cols, int ranks, const bf16* x, int xStride, const bf16* a, int aStride, bf16* u, int uStride,
                               const Mask& mask, float scale) {
  constexpr int N = R / 8;
  __shared__ float parts[kWarps][16 * HIGH][17];
  int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  int first = blockIdx.x * 16 * HIGH;
  const bf16* from[2 * HIGH];
  unsigned keys[2 * HIGH];
#pragma unroll
  for (int i = 0; i < 2 * HIGH; i++) {
    int t = first + i * 8 + g;
    from[i] = t < tokens ? x + static_cast<long long>(t) * xStride : nullptr;
    keys[i] = t < tokens ? keyOf(mask, t) : 0;
  }
  auto readX = [&](uint4(&v)[2 * HIGH], int c) {
#pragma unroll
    for (int i = 0; i < 2 * HIGH; i++) v[i] = from[i] && c < cols ? *reinterpret_cast<const uint4*>(from[i] + c) : make_uint4(0, 0, 0, 0);
  };
  auto readA = [&](uint4(&w)[N], int c) {
#pragma unroll
    for (int n = 0; n < N; n++) {
      int rank = n * 8 + g;
      w[n] = rank < ranks && c < cols ? *reinterpret_cast<const uint4*>(a + static_cast<long long>(rank) * aStride + c) : make_uint4(0, 0, 0, 0);
    }
  };
  float sums[HIGH][N][4] = {};
  // what comes next is on its way while this is multiplied; of many ranks registers hold x alone
  constexpr bool AHEAD = R == 16;
  uint4 nextX[2 * HIGH], nextA[N];
  readX(nextX, warp * 32 + q * 8);
  if (AHEAD) readA(nextA, warp * 32 + q * 8);
  for (int at = warp * 32; at < cols; at += kWarps * 32) {
    int c = at + q * 8;
    uint4 v[2 * HIGH], w[N];
#pragma unroll
    for (int i = 0; i < 2 * HIGH; i++) v[i] = nextX[i];
#pragma unroll
    for (int n = 0; n < N && AHEAD; n++) w[n] = nextA[n];
    if (!AHEAD) readA(w, c);
    readX(nextX, c + kWarps * 32);
    if (AHEAD) readA(nextA, c + kWarps * 32);
#pragma unroll
    for (int i = 0; i < 2 * HIGH; i++) {
      v[i].x = drop(v[i].x, keys[i], c, mask.threshold), v[i].y = drop(v[i].y, keys[i], c + 2, mask.threshold);
      v[i].z = drop(v[i].z, keys[i], c + 4, mask.threshold), v[i].w = drop(v[i].w, keys[i], c + 6, mask.threshold);
    }
#pragma unroll
    for (int h = 0; h < HIGH; h++) {
      const uint4 &upper = v[2 * h], &lower = v[2 * h + 1];
      Fragment left = {upper.x, lower.x, upper.y, lower.y}, right = {upper.z, lower.z, upper.w, lower.w};
#pragma unroll
      for (int n = 0; n < N; n++) multiply(sums[h][n], left, w[n].x, w[n].y), multiply(sums[h][n], right, w[n].z, w[n].w);
    }
  }
  // 16 ranks at a time
#pragma unroll
  for (int p = 0; p < N / 2; p++) {
    if (p) __syncthreads();
#pragma unroll
    for (int h = 0; h < HIGH; h++) {
#pragma unroll
      for (int n = 0; n < 2; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) parts[warp][h * 16 + i / 2 * 8 + g][n * 8 + q * 2 + i % 2] = sums[h][2 * p + n][i];
      }
    }
    __syncthreads();
    int t = threadIdx.x / 16, rank = p * 16 + threadIdx.x % 16;
    if (t >= 16 * HIGH || first + t >= tokens || rank >= ranks) continue;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; w++) sum += parts[w][t][threadIdx.x % 16];
    u[static_cast<long long>(first + t) * uStride + rank] = fromFloat<bf16>(scale * sum);
  }
}

__device__ __forceinline__ unsigned numberAt(const bf16* x, bool inside) { return inside ? x->bits : 0u; }

// dX (T, C) = addend + scale · mask ⊙ (dU (T, R) · a (R, C)): a block owns 128 tokens of 256 channels, a warp 32 of them, a lane eight
// neighbouring ones of two tokens.
template <int R>
__device__ void dropoutInputGrad(int tokens, int cols, int ranks, const bf16* dU, int dUStride, const bf16* a, int aStride, const bf16* addend,
                                 int addendStride, bf16* dX, int dXStride, const Mask& mask, float scale) {
  constexpr int K = R / 16, TOKENS = 128;
  __shared__ unsigned keys[TOKENS];
  int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  int first = blockIdx.y * TOKENS, base = blockIdx.x * 256 + warp * 32;
  if (threadIdx.x < TOKENS) keys[threadIdx.x] = first + threadIdx.x < tokens ? keyOf(mask, first + threadIdx.x) : 0;
  // column n of the jth tile of eight is channel n / 2 · 8 + 2j + n % 2 of the warp's
  unsigned w[K][4][2];
#pragma unroll
  for (int k = 0; k < K; k++) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int c = base + g / 2 * 8 + j * 2 + g % 2;
#pragma unroll
      for (int h = 0; h < 2; h++) {
        int rank = k * 16 + h * 8 + q * 2;
        const bf16* at = a + static_cast<long long>(rank) * aStride + c;
        w[k][j][h] = numberAt(at, rank < ranks && c < cols) | numberAt(at + aStride, rank + 1 < ranks && c < cols) << 16;
      }
    }
  }
  __syncthreads();
  int c = base + q * 8;
  for (int i = 0; i < TOKENS && first + i < tokens; i += 16) {
    float sums[4][4] = {};
#pragma unroll
    for (int k = 0; k < K; k++) {
      Fragment f;
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int t = first + i + e % 2 * 8 + g, rank = k * 16 + e / 2 * 8 + q * 2;
        bool inside = t < tokens && rank < ranks;
        f[e] = inside ? *reinterpret_cast<const unsigned*>(dU + static_cast<long long>(t) * dUStride + rank) : 0u;
      }
#pragma unroll
      for (int j = 0; j < 4; j++) multiply(sums[j], f, w[k][j][0], w[k][j][1]);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int t = first + i + h * 8 + g;
      if (t >= tokens || c >= cols) continue;
      unsigned key = keys[i + h * 8 + g];
      float y[8] = {};
      if (addend) load<bf16, 8>(addend + static_cast<long long>(t) * addendStride + c, y);
#pragma unroll
      for (int e = 0; e < 8; e++) y[e] += kept(key, c + e, mask.threshold) ? scale * sums[e / 2][h * 2 + e % 2] : 0.0f;
      store<bf16, 8>(dX + static_cast<long long>(t) * dXStride + c, y);
    }
  }
}

// dW (R, C) += scale · dUᵀ · (x, dropped): a block owns 32 channels, its warps take 16 tokens in turn. A lane has four neighbouring channels of
// four tokens, two and two of which lie side by side in a product of the tensor cores, and two neighbouring ranks of each.
template <int R>
__device__ void dropoutWeightGrad(int tokens, int cols, int ranks, const bf16* dU, int dUStride, const bf16* x, int xStride, float* dW, int dWStride,
                                  const Mask& mask, float scale) {
  constexpr int M = R / 16, TOKENS = 2048;
  __shared__ unsigned keys[TOKENS];
  __shared__ float parts[kWarps][16][33];
  int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  int base = blockIdx.x * 32, c = base + g * 4;
  float sums[M][4][4] = {};
  for (int first = 0; first < tokens; first += TOKENS) {
    int count = min(TOKENS, tokens - first);
    if (first) __syncthreads();
    for (int t = threadIdx.x; t < count; t += kWarps * 32) keys[t] = keyOf(mask, first + t);
    __syncthreads();
    auto tokenOf = [&](int i, int e) { return i + e / 2 * 8 + q * 2 + e % 2; };
    auto readX = [&](uint2(&v)[4], int i) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int t = tokenOf(i, e);
        v[e] = t < count && c < cols ? *reinterpret_cast<const uint2*>(x + static_cast<long long>(first + t) * xStride + c) : make_uint2(0, 0);
      }
    };
    // ranks 2g and 2g + 1 are rows g and g + 8 of a tile
    auto readU = [&](unsigned(&u)[M][4], int i) {
#pragma unroll
      for (int m = 0; m < M; m++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int t = tokenOf(i, e), rank = m * 16 + g * 2;
          bool inside = t < count && rank < ranks;
          u[m][e] = inside ? *reinterpret_cast<const unsigned*>(dU + static_cast<long long>(first + t) * dUStride + rank) : 0u;
        }
      }
    };
    constexpr bool AHEAD = R == 16;
    uint2 nextX[4];
    unsigned nextU[M][4];
    readX(nextX, warp * 16);
    if (AHEAD) readU(nextU, warp * 16);
    for (int i = warp * 16; i < count; i += kWarps * 16) {
      uint2 v[4];
      unsigned u[M][4];
#pragma unroll
      for (int e = 0; e < 4; e++) v[e] = nextX[e];
#pragma unroll
      for (int e = 0; e < 4 * M && AHEAD; e++) u[e / 4][e % 4] = nextU[e / 4][e % 4];
      if (!AHEAD) readU(u, i);
      readX(nextX, i + kWarps * 16);
      if (AHEAD) readU(nextU, i + kWarps * 16);
#pragma unroll
      for (int e = 0; e < 4; e++) {
        unsigned key = keys[min(tokenOf(i, e), TOKENS - 1)];
        v[e].x = drop(v[e].x, key, c, mask.threshold), v[e].y = drop(v[e].y, key, c + 2, mask.threshold);
      }
#pragma unroll
      for (int m = 0; m < M; m++) {
        Fragment f;
#pragma unroll
        for (int e = 0; e < 4; e++) f[e] = __byte_perm(u[m][e / 2 * 2], u[m][e / 2 * 2 + 1], e % 2 ? 0x7632 : 0x5410);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          unsigned two[2];
#pragma unroll
          for (int h = 0; h < 2; h++) {
            const uint2 &even = v[2 * h], &odd = v[2 * h + 1];
            two[h] = __byte_perm(j < 2 ? even.x : even.y, j < 2 ? odd.x : odd.y, j % 2 ? 0x7632 : 0x5410);
          }
          multiply(sums[m][j], f, two[0], two[1]);
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < M; m++) {
    if (m) __syncthreads();
#pragma unroll
    for (int j = 0; j < 4; j++) {
#pragma unroll
      for (int i = 0; i < 4; i++) parts[warp][g * 2 + i / 2][(q * 2 + i % 2) * 4 + j] = sums[m][j][i];
    }
    __syncthreads();
    int rank = threadIdx.x / 32, at = base + threadIdx.x % 32;
    if (m * 16 + rank >= ranks || at >= cols) continue;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kWarps; w++) sum += parts[w][rank][threadIdx.x % 32];
    dW[static_cast<long long>(m * 16 + rank) * dWStride + at] += scale * sum;
  }
}

// of few ranks two blocks fit a multiprocessor
#define PRODUCT(HIGH, R)                                                                                                                     \
  extern "C" __global__ void __launch_bounds__(512, HIGH * R == 16 ? 2 : 1)                                                                                          \
      dropout_product_##HIGH##_##R(int tokens, int cols, int ranks, const bf16* x, int xStride, const bf16* a, int aStride, bf16* u, int uStride, \
                                   Mask mask, float scale) {                                                                                 \
    dropoutProduct<HIGH, R>(tokens, cols, ranks, x, xStride, a, aStride, u, uStride, mask, scale);                                           \
  }
#define INPUT_GRAD(R)                                                                                                                        \
  extern "C" __global__ void __launch_bounds__(256)                                                                                          \
      dropout_input_grad_##R(int tokens, int cols, int ranks, const bf16* dU, int dUStride, const bf16* a, int aStride, const bf16* addend,    \
                             int addendStride, bf16* dX, int dXStride, Mask mask, float scale) {                                             \
    dropoutInputGrad<R>(tokens, cols, ranks, dU, dUStride, a, aStride, addend, addendStride, dX, dXStride, mask, scale);                     \
  }
#define WEIGHT_GRAD(R)                                                                                                                       \
  extern "C" __global__ void __launch_bounds__(512)                                                                                          \
      dropout_weight_grad_##R(int tokens, int cols, int ranks, const bf16* dU, int dUStride, const bf16* x, int xStride, float* dW, int dWStride, \
                              Mask mask, float scale) {                                                                                      \
    dropoutWeightGrad<R>(tokens, cols, ranks, dU, dUStride, x, xStride, dW, dWStride, mask, scale);                                          \
  }
