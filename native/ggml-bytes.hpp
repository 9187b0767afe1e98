// AVX-512: what products of few rows multiply of GGUF's blocks, 16 codes a vector, as they come: x needs no turning but where a byte has two.
// The names are those of ggml-words.hpp. Included by ggml-codes.hpp.
#pragma once
#include "simd.hpp"

namespace saqr::ggml {

constexpr int kVectors = 32 / W;

// ---- 16 bytes of two codes each, the higher with the lower below it

SAQR_INLINE vi words(const uint8_t* at) { return wide(at); }
SAQR_INLINE vf upTo(vi bytes, int code) { return __builtin_convertvector(code == 0 ? bytes & 15 : bytes, vf); }
inline void turnPairs(const float* x, float* out) {
  const vf high = load(x + 16) * 0.0625f;
  store(out, load(x) - high), store(out + 16, high);
}

// ---- 32 bytes of a code each

SAQR_INLINE vf bytesUpTo(v32 bytes, int i) {
  const __m128i half = i == 0 ? _mm256_castsi256_si128((__m256i)bytes) : _mm256_extracti128_si256((__m256i)bytes, 1);
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(half));
}
inline void turnBytes(const float* x, float* out) { memcpy(out, x, 32 * sizeof(float)); }
// the low nibbles of 16 bytes, then the high ones
SAQR_INLINE v32 nibblesInBytes(const uint8_t* at) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)at));
  return (v32)_mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4)) & 15;
}
SAQR_INLINE v32 fifthsInBytes(const uint8_t* at) { return fifths(at); }
// low or high nibbles of 32 bytes
SAQR_INLINE v32 nibblesOfWords(const uint8_t* at, bool high) { return nibblesOf(at, high); }
// bit `from` of each byte moved to bit kTo, with those that `mask` leaves
template <int kTo>
SAQR_INLINE v32 bitsTo(v32 bytes, int from, int mask) {
  return (from < kTo ? bytes << (kTo - from) : bytes >> (from - kTo)) & static_cast<uint8_t>(mask);
}

// ---- the scales of a super-block's 8 sub-blocks of 32

// An f16 scale and an f16 minimum, and 6 bits of each for a sub-block, in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight
struct SixBitScales {
  static constexpr int kHalvesAt = 0, kSums = 8, kSumsX = W;  // where two f16 stand; how many Σ x a super-block has, filled up to whole vectors
  static constexpr bool kEach = false;                        // is there a scale for each vector?
  alignas(32) float scale[8];
  // gives `shift`, which Σ x are multiplied with
  SAQR_INLINE void read(const uint8_t* block, const float* halves, vf* shift) {
    const __m512 both = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(scalesAndMins(block)));  // 8 scales, 8 minima
    _mm256_store_ps(scale, _mm256_mul_ps(_mm512_castps512_ps256(both), _mm256_set1_ps(halves[0])));
    asm volatile("" : "+m"(scale));  // read again, each in all lanes
    const __m256 minima = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(both), 1));
    *shift = (vf)_mm512_zextps256_ps512(_mm256_mul_ps(minima, _mm256_set1_ps(-halves[1])));
  }
  SAQR_INLINE vf of(int j, int) const { return set1(scale[j]); }
};

// An f16 scale at a block's end, and an int8 for each 16 codes, which are 32 more than what they mean
struct ByteScales {
  static constexpr int kHalvesAt = 206, kSums = 16, kSumsX = W;
  static constexpr bool kEach = true;
  alignas(64) float scale[16];
  SAQR_INLINE void read(const uint8_t* block, const float* halves, vf* shift) {
    const vf s = (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)(block + 192)))) * set1(halves[1]);
    store(scale, s);
    asm volatile("" : "+m"(scale));
    *shift = s * -32.0f;
  }
  SAQR_INLINE vf of(int j, int i) const { return set1(scale[2 * j + i]); }
};

}  // namespace saqr::ggml
