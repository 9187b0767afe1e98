// Products of few rows with weights in GGUF's blocks, which are multiplied where they lie: sums[r][m] += w[r] · x[m].
#pragma once
#include <algorithm>
#include "gemm-pack.hpp"
#include "ggml-codes.hpp"

namespace saqr::gemm {

constexpr int kMostRows = 8;
constexpr int rowsTogether(int m) { return m <= 4 ? 4 : 2; }  // of b: up to 16 sums
constexpr int64_t kAhead = 4096;                              // bytes

// Where what is fetched ahead begins: the rows behind these R, which stand in one run, or some kilobytes on where those are nearer.
template <class Kind, int R>
SAQR_INLINE const uint8_t* comesNext(const uint8_t* first, int64_t count) {
  return first + std::max(kAhead, R * (count / Kind::kWeights) * Kind::kBytes);
}
template <int N>
SAQR_INLINE void copySums(const vf* from, vf* to) {
#pragma GCC unroll 16
  for (int i = 0; i < N; i++) to[i] = from[i];
}

#if SAQR_ROWS_TOGETHER
}  // namespace saqr::gemm
#include "gemv-super-blocks.hpp"
namespace saqr::gemm {

#else
// x of a product with such a row: turned block by block (ggml-codes.hpp), and behind it Σ x of each block in lanes.
using BlockX = float;
constexpr int64_t turnedSize(int64_t k) { return k + k / 32 * W; }
template <class Kind>
static void turned(const float* x, int64_t count, float* out) {
  float* sums = out + count;
  for (int64_t k = 0; k < count; k += 32, sums += W) {
    Kind::turnX(x + k, out + k);
    vf sum{};
    for (int i = 0; i < 32; i += W) sum += load(x + k + i);
    store(sums, sum);
  }
}

template <class Kind, int M>
static void blockDots(const uint8_t* const* w, const float* x, int64_t apart, int64_t count, vf* sums) {
  using ggml::kVectors;
  constexpr int R = rowsTogether(M), kStep = R * Kind::kBytes;
  const uint8_t* ahead = comesNext<Kind, R>(w[0], count);
  const float* sumsX = x + count;
  vf sum[R * M];
  copySums<R * M>(sums, sum);
  int64_t at = 0;
  for (int64_t k = 0; k < count; k += 32, at += Kind::kBytes, sumsX += W, ahead += kStep) {
#pragma GCC unroll 4
    for (int line = 0; line < kStep; line += 64) __builtin_prefetch(ahead + line, 0, 3);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      vf code[kVectors], scale, shift;
      Kind::factors(w[r] + at, code);
      Kind::scales(w[r] + at, scale, shift);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
        const float* xs = x + m * apart + k;
        vf dot = code[0] * load(xs);
#pragma GCC unroll 8
        for (int i = 1; i < kVectors; i++) dot = fma(code[i], load(xs + i * W), dot);
        if constexpr (Kind::kSumX) sum[r * M + m] = fma(shift, load(sumsX + m * apart), sum[r * M + m]);
        sum[r * M + m] = fma(dot, scale, sum[r * M + m]);
      }
    }
  }
  copySums<R * M>(sum, sums);
}
#endif

// Few rows are multiplied with blocks' own values, also where more of them, in bf16, are with values rounded to that: taking codes apart in f32 is
// twice as fast on a Xeon as looking up values in bf16 (bench/results/decode-llama.txt).
constexpr bool kExactInBlocks = !kBf16Dot || SAQR_ROWS_TOGETHER;

struct BlockRows {
  DType dtype;
  bool quick;  // a text goes on over such weights about as fast as over bf16, or faster, as measured (bench/results/decode-llama.txt)
  int weights, bytes;
  void (*dots[kMostRows])(const uint8_t* const*, const BlockX*, int64_t, int64_t, vf*);
  void (*turned)(const float* x, int64_t count, float* out);
};
template <class K>
static constexpr BlockRows blockRows(DType dtype, bool quick) {
  return {dtype,
          quick,
          K::kWeights,
          K::kBytes,
          {blockDots<K, 1>, blockDots<K, 2>, blockDots<K, 3>, blockDots<K, 4>, blockDots<K, 5>, blockDots<K, 6>, blockDots<K, 7>, blockDots<K, 8>},
          turned<K>};
}
#if defined(__x86_64__)
constexpr bool kTimed = true;  // with AVX2 and AMX; AVX-512's code is AMX's
#else
constexpr bool kTimed = false;  // of arm64 none was
#endif
static constexpr BlockRows kBlockRows[] = {
    blockRows<ggml::Q4_0>(DType::q4_0, kTimed),  // Q4_1 without a minimum
    blockRows<ggml::Q4_1>(DType::q4_1, kTimed),
    blockRows<ggml::Q8_0>(DType::q8_0, kTimed),
#if SAQR_ROWS_TOGETHER
    blockRows<ggml::Q5_0>(DType::q5_0, kTimed),
    blockRows<ggml::Q5_1>(DType::q5_1, kTimed),  // Q5_0 with a minimum
    blockRows<ggml::Q4_K>(DType::q4_k, kTimed),
    blockRows<ggml::Q5_K>(DType::q5_k, kTimed),
    blockRows<ggml::Q6_K>(DType::q6_k, kTimed),
#endif
};

// how rows of t are multiplied as they lie, or null
static const BlockRows* blockRowsOf(DType dtype) {
  for (const BlockRows& kind : kBlockRows) {
    if (kind.dtype == dtype) return &kind;
  }
  return nullptr;
}

}  // namespace saqr::gemm
