// AVX2: products of few rows with GGUF's super-blocks of 256, as words of four codes (ggml-words.hpp). Included by gemv-blocks.hpp.
#pragma once
#include "gemv-words.hpp"

namespace saqr::gemm {

// x turned 32 by 32, and behind it Σ x of what has a shift of its own
template <SuperBlock Kind>
static void turned(const float* x, int64_t count, float* out) {
  constexpr int kSumsX = Kind::Scales::kSumsX, kOver = 256 / kSumsX;
  for (int64_t k = 0; k < count; k += 32) ggml::turnBytes(x + k, out + k);
  for (int64_t i = 0; i < count / kOver; i++) {
    vf all{};
    for (int j = 0; j < kOver; j += W) all += load(x + i * kOver + j);
    out[count + i] = sum(all);
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
    alignas(32) float halves[W];
    store(halves, firstHalves<R>(w, at + Scales::kHalvesAt));
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
        vi bits[R];
        vf dot[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) bits[r] = Kind::bits(w[r] + at, j);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
          vf xs = load(x + k + 32 * j + i * W);
          stays(xs);  // in a register for all R: reading it R times takes longer than the arithmetic
#pragma GCC unroll 4
          for (int r = 0; r < R; r++) {
            const vf c = ggml::bytesUpTo(bits[r], i);
            dot[r] = i == 0 ? c * xs : fma(c, xs, dot[r]);
            stays(dot[r]);
          }
        }
#pragma GCC unroll 4
        for (int r = 0; r < R; r++) sum[r] = fma(dot[r], scales[r].of(j), sum[r]);
      }
    } else {
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++) {
          const vi bits = Kind::bits(w[r] + at, j);
          const vf scale = scales[r].of(j);
          vf code[4];
#pragma GCC unroll 4
          for (int i = 0; i < 4; i++) code[i] = ggml::bytesUpTo(bits, i);
#pragma GCC unroll 8
          for (int m = 0; m < M; m++) {
            const float* xs = x + m * apart + k + 32 * j;
            vf dot = code[0] * load(xs);
            stays(dot);
#pragma GCC unroll 4
            for (int i = 1; i < 4; i++) dot = fma(code[i], load(xs + i * W), dot);
            sum[r * M + m] = fma(dot, scale, sum[r * M + m]);
          }
        }
      }
    }
  }
  copySums<R * M>(sum, sums);
}

}  // namespace saqr::gemm
