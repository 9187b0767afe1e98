// AVX2: what products of few rows multiply of GGUF's blocks, 8 words of 4 codes each. A code is what a mask leaves of its word, with the codes below
// it, of which x is freed: Σ c · x = Σ upTo(i) · (xᵢ / bⁱ − xᵢ₊₁ / bⁱ⁺¹) for codes a factor of b apart. Included by ggml-codes.hpp.
#pragma once
#include <cstring>
#include "simd.hpp"

namespace saqr::ggml {

constexpr int kVectors = 32 / W;

// ---- words of 16 bits: c₀, c₀ + 16 c₁, … up to the word itself, exact in f32

SAQR_INLINE vi words(const uint8_t* at) { return (vi)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)at)); }
SAQR_INLINE vf upTo(vi words, int code) { return __builtin_convertvector(code < 3 ? words & ((16 << 4 * code) - 1) : words, vf); }
// every second of 16 from the first or the second on
template <int kFrom>
SAQR_INLINE vf everySecond(const float* x) {
  const __m256 halves = _mm256_shuffle_ps((__m256)load(x), (__m256)load(x + W), kFrom ? 0xdd : 0x88);
  return (vf)_mm256_permute4x64_pd(_mm256_castps_pd(halves), 0xd8);
}
// bytes hold codes 16 apart
inline void turnPairs(const float* x, float* out) {
  const vf v[] = {everySecond<0>(x), everySecond<0>(x + 16) / 16, everySecond<1>(x) / 256, everySecond<1>(x + 16) / 4096, vf{}};
  for (int i = 0; i < 4; i++) store(out + i * W, v[i] - v[i + 1]);
}

// ---- words of 32 bits, a code a byte, in their order: exact but for the word itself, which is rounded to f32 as a product with it would be

SAQR_INLINE vf bytesUpTo(vi bytes, int code) { return __builtin_convertvector(code < 3 ? bytes & ((256 << 8 * code) - 1) : bytes, vf); }
inline void turnBytes(const float* x, float* out) {
  alignas(32) float v[5][W] = {};
  for (int i = 0; i < 32; i++) v[i % 4][i / 4] = x[i];
  constexpr float kFactor[] = {1, 1.0f / 256, 1.0f / 65536, 1.0f / 16777216, 0};
  for (int i = 0; i < 4; i++) store(out + i * W, load(v[i]) * kFactor[i] - load(v[i + 1]) * kFactor[i + 1]);
}
// the low nibbles of 16 bytes, then the high ones
SAQR_INLINE vi nibblesInBytes(const uint8_t* at) {
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i*)at));
  return (vi)_mm256_srlv_epi32(twice, _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4)) & 0x0f0f0f0f;
}
// a fifth bit each, in 4 bytes
SAQR_INLINE vi fifthsInBytes(const uint8_t* at) {
  int32_t all;
  memcpy(&all, at, 4);
  const __m256i eachByte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303), bit = _mm256_set1_epi64x(0x8040201008040201);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(all), eachByte);
  return (vi)_mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit) & 0x10101010;
}
// low or high nibbles of 32 bytes
SAQR_INLINE vi nibblesOfWords(const uint8_t* at, bool high) {
  const vu bytes = loadAs<vu>(at);
  return (vi)(high ? bytes >> 4 : bytes) & 0x0f0f0f0f;
}
// bit `from` of each byte moved to bit kTo, with those that `mask` leaves
template <int kTo>
SAQR_INLINE vi bitsTo(v32 bytes, int from, int mask) {
  return (vi)(from < kTo ? (vu)bytes << (kTo - from) : (vu)bytes >> (from - kTo)) & mask;
}

// ---- the scales of a super-block's 8 sub-blocks of 32

// An f16 scale and an f16 minimum, and 6 bits of each for a sub-block, in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight
struct SixBitScales {
  static constexpr int kHalvesAt = 0, kSums = 8, kSumsX = 8;  // where two f16 stand; how many Σ x a super-block has, filled up to whole vectors
  static constexpr bool kEach = false;                        // is there a scale for each vector?
  alignas(32) float scale[8];
  // gives `shift`, which Σ x are multiplied with
  SAQR_INLINE void read(const uint8_t* block, const float* halves, vf* shift) {
    const __m128i both = scalesAndMins(block);  // 8 scales, 8 minima
    store(scale, (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(both)) * set1(halves[0]));
    asm volatile("" : "+m"(scale));  // read again, each in all lanes
    *shift = (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(both, both))) * -set1(halves[1]);
  }
  SAQR_INLINE vf of(int j, int) const { return set1(scale[j]); }
};

// An f16 scale at a block's end, and an int8 for each 16 codes, which are 32 more than what they mean
struct ByteScales {
  static constexpr int kHalvesAt = 206, kSums = 16, kSumsX = 16;
  static constexpr bool kEach = false;
  alignas(32) float scale[16];
  SAQR_INLINE void read(const uint8_t* block, const float* halves, vf* shift) {
    for (int i = 0; i < 2; i++) {
      const vf s = (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(block + 192 + 8 * i)))) * set1(halves[1]);
      store(scale + 8 * i, s), shift[i] = s * -32.0f;
    }
    asm volatile("" : "+m"(scale));  // as above
  }
  SAQR_INLINE vf of(int j, int) const { return (vf)_mm256_blend_ps((__m256)set1(scale[2 * j]), (__m256)set1(scale[2 * j + 1]), 0xf0); }
};

}  // namespace saqr::ggml
