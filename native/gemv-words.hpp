// x86-64: products of few rows with GGUF's blocks of 32, as AVX2 (ggml-words.hpp) and AVX-512 (ggml-bytes.hpp) take codes out. Included by gemv-blocks.hpp.
#pragma once
#include "gemm-pack.hpp"
#include "ggml-codes.hpp"

namespace saqr::gemm {

template <class Kind>
concept Block = Kind::kWeights == 32;
template <class Kind>
concept SuperBlock = Kind::kWeights == 256;

// x of a product with such a row: turned block by block (ggml-codes.hpp), and behind it Σ x of each block with the factors of its first halves.
using BlockX = float;
constexpr int64_t turnedSize(int64_t k) { return k + k / 32 * 2; }
template <Block Kind>
static void turned(const float* x, int64_t count, float* out) {
  float* sums = out + count;
  for (int64_t k = 0; k < count; k += 32, sums += 2) {
    Kind::turnX(x + k, out + k);
    vf all{};
    for (int i = 0; i < 32; i += W) all += load(x + k + i);
    sums[0] = sum(all) * Kind::kShiftOfFirst, sums[1] = sum(all) * Kind::kShiftOfSecond;
  }
}
SAQR_INLINE int fourBytes(const uint8_t* at) {
  int bytes;
  memcpy(&bytes, at, 4);
  return bytes;
}
using v8f = float __attribute__((vector_size(32)));
// two f16 that each of R blocks begins with, or one and whatever follows it
template <int R>
SAQR_INLINE v8f firstHalves(const uint8_t* const* w, int64_t at) {
  __m128i bits = _mm_insert_epi32(_mm_cvtsi32_si128(fourBytes(w[0] + at)), fourBytes(w[1] + at), 1);
  if constexpr (R == 4) bits = _mm_insert_epi32(_mm_insert_epi32(bits, fourBytes(w[2] + at), 2), fourBytes(w[3] + at), 3);
  return (v8f)_mm256_cvtph_ps(bits);
}
// a product that is rounded, whatever is added to it, and made in this turn: the same bits for any M
SAQR_INLINE void stays(vf& product) {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(product));
#else
  asm volatile("" : "+x"(product));
#endif
}

// The scales of R rows are made at once, and rows go on side by side: of one behind the other fewer fit into what the processor looks ahead.
template <Block Kind, int M>
static void blockDots(const uint8_t* const* w, const float* x, int64_t apart, int64_t count, vf* sums) {
  using ggml::kVectors;
  constexpr int R = rowsTogether(M), kStep = R * Kind::kBytes;
  const uint8_t* ahead = comesNext<Kind, R>(w[0], count);
  const float* sumsX = x + count;
  vf sum[R * M];
  v8f shift[M] = {};
  copySums<R * M>(sums, sum);
  int64_t at = 0;
  for (int64_t k = 0; k < count; k += 32, at += Kind::kBytes, sumsX += 2, ahead += kStep) {
#pragma GCC unroll 4
    for (int line = 0; line < kStep; line += 64) __builtin_prefetch(ahead + line, 0, 3);
    alignas(32) float halves[8];  // scale of row r at 2 r
    const v8f both = firstHalves<R>(w, at);
    _mm256_store_ps(halves, (__m256)both);  // GCC copies by parts what memcpy is asked for, and a load waits for all of them
    asm volatile("" : "+m"(halves));  // read again: a load fills all lanes, where turning them takes the units that multiply
    if constexpr (Kind::kSumX) {
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
        double two;
        memcpy(&two, sumsX + m * apart, 8);
        shift[m] = both * (v8f)_mm256_set1_pd(two) + shift[m];
      }
    }
    if constexpr (M == 1) {
      decltype(Kind::bits(w[0])) bits[R];
      vf dot[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) bits[r] = Kind::bits(w[r] + at);
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; i++) {
        const vf xs = load(x + k + i * W);
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) {
          const vf c = Kind::factor(bits[r], i);
          dot[r] = i == 0 ? c * xs : fma(c, xs, dot[r]);
          stays(dot[r]);
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) sum[r] = fma(dot[r], set1(halves[2 * r]), sum[r]);
    } else {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const auto bits = Kind::bits(w[r] + at);
        vf code[kVectors];
#pragma GCC unroll 8
        for (int i = 0; i < kVectors; i++) code[i] = Kind::factor(bits, i);
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
          const float* xs = x + m * apart + k;
          vf dot = code[0] * load(xs);
          stays(dot);
#pragma GCC unroll 8
          for (int i = 1; i < kVectors; i++) dot = fma(code[i], load(xs + i * W), dot);
          sum[r * M + m] = fma(dot, set1(halves[2 * r]), sum[r * M + m]);
        }
      }
    }
  }
  if constexpr (Kind::kSumX) {
    constexpr int kLane = Kind::kShiftOfSecond != 0;
    for (int m = 0; m < M; m++) {
      for (int r = 0; r < R; r++) sum[r * M + m][0] += shift[m][2 * r + kLane];
    }
  }
  copySums<R * M>(sum, sums);
}

}  // namespace saqr::gemm
