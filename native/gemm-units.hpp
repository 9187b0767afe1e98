// Units from where they stand: transposed, or joined of two rows.
#pragma once
#include "gemm-decode.hpp"

namespace saqr::gemm {

#if defined(__AVX512F__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  low = (vf)_mm512_permutex2var_ps((__m512)a, first, (__m512)b);
  high = (vf)_mm512_permutex2var_ps((__m512)a, second, (__m512)b);
}
#elif defined(__AVX2__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  __m256 l = _mm256_unpacklo_ps((__m256)a, (__m256)b), h = _mm256_unpackhi_ps((__m256)a, (__m256)b);
  low = (vf)_mm256_permute2f128_ps(l, h, 0x20);
  high = (vf)_mm256_permute2f128_ps(l, h, 0x31);
}
#else
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  low = vf{a[0], b[0], a[1], b[1]};
  high = vf{a[2], b[2], a[3], b[3]};
}
#endif

// W rows become W columns: interleaving the first half with the second, log2(W) times.
SAQR_INLINE void transpose(vf (&v)[W]) {
#pragma GCC unroll 4
  for (int stage = 1; stage < W; stage *= 2) {
    vf next[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; i++) interleave(v[i], v[i + W / 2], next[2 * i], next[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) v[i] = next[i];
  }
}

// W units from where two rows stand; 2 W, to `out`; the first n of W
SAQR_INLINE vf join(const float* row, const float*) { return load(row); }
SAQR_INLINE void joinTwo(const float* row, const float*, float* out) { store(out, load(row)), store(out + W, load(row + W)); }
SAQR_INLINE vf joinFirst(const float* row, const float*, int n) { return loadFirst(row, n); }
#if defined(__AVX512F__)
alignas(64) inline constexpr uint16_t kZip[64] = {
    0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39,
    8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47,
    16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55,
    24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63,
};
SAQR_INLINE vf zip(__m256i low, __m256i high) {
  return (vf)_mm512_permutex2var_epi16(_mm512_castsi256_si512(low), _mm512_load_si512(kZip), _mm512_castsi256_si512(high));
}
SAQR_INLINE vf join(const bf16* even, const bf16* odd) {
  return zip(_mm256_loadu_si256((const __m256i*)even), _mm256_loadu_si256((const __m256i*)odd));
}
SAQR_INLINE void joinTwo(const bf16* even, const bf16* odd, float* out) {
  const __m512i low = _mm512_loadu_si512(even), high = _mm512_loadu_si512(odd);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(low, _mm512_load_si512(kZip), high));
  _mm512_storeu_si512(out + W, _mm512_permutex2var_epi16(low, _mm512_load_si512(kZip + 32), high));
}
SAQR_INLINE vf joinFirst(const bf16* even, const bf16* odd, int n) {
  const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
  return zip(_mm256_maskz_loadu_epi16(mask, even), _mm256_maskz_loadu_epi16(mask, odd));
}
#else  // without bf16 dot products there are no pairs
SAQR_INLINE vf join(const bf16*, const bf16*) { return vf{}; }
SAQR_INLINE void joinTwo(const bf16*, const bf16*, float*) {}
SAQR_INLINE vf joinFirst(const bf16*, const bf16*, int) { return vf{}; }
#endif

}  // namespace saqr::gemm
