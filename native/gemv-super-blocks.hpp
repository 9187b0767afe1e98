// x86-64: products of few rows with GGUF's super-blocks of 256, as gemv-words.hpp has those with blocks. Included by gemv-blocks.hpp.
#pragma once
#include <algorithm>
#include "gemv-words.hpp"

namespace saqr::gemm {

// x turned 32 by 32, and behind it Σ x of what has a shift of its own
template <SuperBlock Kind>
static void turned(const float* x, int64_t count, float* out) {
  using Scales = typename Kind::Scales;
  constexpr int kOver = 256 / Scales::kSums;
  for (int64_t k = 0; k < count; k += 32) ggml::turnBytes(x + k, out + k);
  float* sums = out + count;
  for (int64_t k = 0; k < count; k += 256, sums += Scales::kSumsX) {
    std::fill_n(sums, Scales::kSumsX, 0.0f);
    for (int i = 0; i < Scales::kSums; i++) {
      vf all{};
      for (int j = 0; j < kOver; j += W) all += load(x + k + i * kOver + j);
      sums[i] = sum(all);
    }
  }
}

template <SuperBlock Kind, int M>
static void blockDots(const uint8_t* const* w, const float* x, int64_t apart, int64_t count, vf* sums) {
  using Scales = typename Kind::Scales;
  constexpr int R = rowsTogether(M), kStep = R * Kind::kBytes, kShifts = Scales::kSumsX / W;
  const uint8_t* ahead = comesNext<Kind, R>(w[0], count);
  const float* sumsX = x + count;
  vf sum[R * M];
  copySums<R * M>(sums, sum);
  int64_t at = 0;
  for (int64_t k = 0; k < count; k += 256, at += Kind::kBytes, sumsX += Scales::kSumsX, ahead += kStep) {
#pragma GCC unroll 16
    for (int line = 0; line < kStep; line += 64) __builtin_prefetch(ahead + line, 0, 3);
    alignas(32) float halves[8];
    const v8f both = firstHalves<R>(w, at + Scales::kHalvesAt);
    _mm256_store_ps(halves, (__m256)both);
    asm volatile("" : "+m"(halves));  // as in gemv-words.hpp
    Scales scales[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      vf shift[kShifts];
      scales[r].read(w[r] + at, halves + 2 * r, shift);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 2
        for (int i = 0; i < kShifts; i++) sum[r * M + m] = fma(shift[i], load(sumsX + m * apart + i * W), sum[r * M + m]);
      }
    }
    if constexpr (M == 1) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; j++) {
        decltype(Kind::bits(w[0], 0)) bits[R];
        vf dot[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) bits[r] = Kind::bits(w[r] + at, j);
#pragma GCC unroll 4
        for (int i = 0; i < ggml::kVectors; i++) {
          vf xs = load(x + k + 32 * j + i * W);
          stays(xs);  // in a register for all R: reading it R times takes longer than the arithmetic
#pragma GCC unroll 4
          for (int r = 0; r < R; r++) {
            const vf c = ggml::bytesUpTo(bits[r], i);
            dot[r] = i == 0 || Scales::kEach ? c * xs : fma(c, xs, dot[r]);
            stays(dot[r]);
            if constexpr (Scales::kEach) sum[r] = fma(dot[r], scales[r].of(j, i), sum[r]);
          }
        }
        if constexpr (Scales::kEach) continue;
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[r] = fma(dot[r], scales[r].of(j, 0), sum[r]);
      }
    } else {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
          const auto bits = Kind::bits(w[r] + at, j);
          vf code[ggml::kVectors], scale[ggml::kVectors];
#pragma GCC unroll 4
          for (int i = 0; i < ggml::kVectors; i++) code[i] = ggml::bytesUpTo(bits, i), scale[i] = scales[r].of(j, i);
#pragma GCC unroll 8
          for (int m = 0; m < M; m++) {
            const float* xs = x + m * apart + k + 32 * j;
            vf dot = code[0] * load(xs);
            stays(dot);
#pragma GCC unroll 4
            for (int i = 1; i < ggml::kVectors; i++) {
              if constexpr (Scales::kEach) {
                sum[r * M + m] = fma(dot, scale[i - 1], sum[r * M + m]);
                dot = code[i] * load(xs + i * W);
                stays(dot);
              } else {
                dot = fma(code[i], load(xs + i * W), dot);
              }
            }
            sum[r * M + m] = fma(dot, scale[ggml::kVectors - 1], sum[r * M + m]);
          }
        }
      }
    }
  }
  copySums<R * M>(sum, sums);
}

}  // namespace saqr::gemm
