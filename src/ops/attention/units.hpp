// What attention multiplies: 32-bit units along the dimension that is summed over, one f32 or two bf16 (which one dot-product instruction
// takes); and the register-blocked product over them that all its products are.
#pragma once
#include "simd.hpp"

namespace saqr::attention {

// Rows of A a block takes beside N vectors of B, so that sums, B and one broadcast fit the registers (32, or 16 with AVX2).
template <int N>
constexpr int kRows = W == 8 ? (N == 1 ? 8 : N == 4 ? 2 : 4) : (N == 4 ? 4 : 8);
constexpr int kMostChannels = 512;  // of a head
constexpr int kMostVectors = W == 8 ? 3 : 4;

struct F32Units {
  static constexpr int kPer = 1;
  static SAQR_INLINE vf multiplyAdd(vf sum, vi a, vi b) { return fma(asFloat(a), asFloat(b), sum); }
  static SAQR_INLINE vf exp2(vf t) { return exp2With(t, exp2Degree5); }
};

// Two f32 as a pair of bf16, the first in the lower half. Ties go away from zero: one addition cheaper than to even.
SAQR_INLINE vi pairOf(vf first, vf second) {
  const vi a = asInt(first) + 0x8000, b = asInt(second) + 0x8000;
#if defined(__AVX512BW__)
  return (vi)_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32((__m512i)a, 16), (__m512i)b);
#else
  return (vi)((vu)a >> 16) | (b & static_cast<int32_t>(0xffff0000));
#endif
}

struct Bf16Units {
  static constexpr int kPer = 2;
  static SAQR_INLINE vf multiplyAdd(vf sum, vi a, vi b) { return dotBf16(sum, asFloat(a), asFloat(b)); }
  static SAQR_INLINE vf exp2(vf t) { return exp2With(t, exp2Degree4); }  // the weight is rounded to 8 bits next
};

// sum[m][n] += Σ_s a[s·aStep + m·aRow] · b[s·bStep + n·W …]: a is broadcast, b lies in lanes.
template <class U, int M, int N>
SAQR_INLINE void multiply(vf (&sum)[M][N], const int32_t* a, int64_t aStep, int64_t aRow, const int32_t* b, int64_t bStep, int64_t steps) {
  for (int64_t s = 0; s < steps; s++, a += aStep, b += bStep) {
    vi right[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) right[n] = load(b + n * W);
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
      const vi left = set1(a[m * aRow]);
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) sum[m][n] = U::multiplyAdd(sum[m][n], left, right[n]);
    }
  }
}

template <int M, int N>
SAQR_INLINE void clear(vf (&sum)[M][N]) {
#pragma GCC unroll 8
  for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) sum[m][n] = vf{};
  }
}

}  // namespace saqr::attention
