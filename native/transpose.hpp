// W vectors as a matrix of W × W lanes, transposed in registers; two vectors woven into one another and parted again.
#pragma once
#include "simd.hpp"

namespace saqr {

// interleave: low and high are a[0], b[0], a[1], b[1] … in order; part: a and b out of them
#if defined(__AVX512F__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  low = (vf)_mm512_permutex2var_ps((__m512)a, first, (__m512)b);
  high = (vf)_mm512_permutex2var_ps((__m512)a, second, (__m512)b);
}
SAQR_INLINE void part(vf low, vf high, vf& a, vf& b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  a = (vf)_mm512_permutex2var_ps((__m512)low, even, (__m512)high);
  b = (vf)_mm512_permutex2var_ps((__m512)low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), (__m512)high);
}
#elif defined(__AVX2__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  __m256 l = _mm256_unpacklo_ps((__m256)a, (__m256)b), h = _mm256_unpackhi_ps((__m256)a, (__m256)b);
  low = (vf)_mm256_permute2f128_ps(l, h, 0x20);
  high = (vf)_mm256_permute2f128_ps(l, h, 0x31);
}
SAQR_INLINE void part(vf low, vf high, vf& a, vf& b) {
  const __m256d even = (__m256d)_mm256_shuffle_ps((__m256)low, (__m256)high, 0x88), odd = (__m256d)_mm256_shuffle_ps((__m256)low, (__m256)high, 0xdd);
  a = (vf)_mm256_permute4x64_pd(even, 0xd8);
  b = (vf)_mm256_permute4x64_pd(odd, 0xd8);
}
#else
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  low = vf{a[0], b[0], a[1], b[1]};
  high = vf{a[2], b[2], a[3], b[3]};
}
SAQR_INLINE void part(vf low, vf high, vf& a, vf& b) {
  a = vf{low[0], low[2], high[0], high[2]};
  b = vf{low[1], low[3], high[1], high[3]};
}
#endif

// W rows become W columns: interleaving the first half with the second, log2(W) times.
SAQR_INLINE void transpose(vf (&v)[W]) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  // within halves of registers, which pairs of rows four apart change once: a third of the steps across them
  __m256 pairs[8], fours[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps((__m256)v[i], (__m256)v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps((__m256)v[i], (__m256)v[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    v[i] = (vf)_mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    v[i + 4] = (vf)_mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
#else
#pragma GCC unroll 4
  for (int stage = 1; stage < W; stage *= 2) {
    vf next[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; i++) interleave(v[i], v[i + W / 2], next[2 * i], next[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) v[i] = next[i];
  }
#endif
}

SAQR_INLINE void transpose(vi (&v)[W]) {
  vf as[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) as[i] = asFloat(v[i]);
  transpose(as);
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) v[i] = asInt(as[i]);
}

}  // namespace saqr
