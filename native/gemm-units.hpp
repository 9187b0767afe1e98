// Units from where they stand: transposed, or joined of two rows.
#pragma once
#include "gemm-decode.hpp"
#include "transpose.hpp"

namespace saqr::gemm {

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
#else
SAQR_INLINE vf join(const bf16* even, const bf16* odd) {
  bf16 pairs[2 * W];
#pragma GCC unroll 8
  for (int i = 0; i < W; i++) pairs[2 * i] = even[i], pairs[2 * i + 1] = odd[i];
  return loadAs<vf>(pairs);
}
SAQR_INLINE void joinTwo(const bf16* even, const bf16* odd, float* out) {
  store(out, join(even, odd)), store(out + W, join(even + W, odd + W));
}
SAQR_INLINE vf joinFirst(const bf16* even, const bf16* odd, int n) {
  bf16 pairs[2 * W] = {};
  for (int i = 0; i < n; i++) pairs[2 * i] = even[i], pairs[2 * i + 1] = odd[i];
  return loadAs<vf>(pairs);
}
#endif

}  // namespace saqr::gemm
