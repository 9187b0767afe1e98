// NF4 as bitsandbytes stores it: 4-bit codes, a scale a block, the scales themselves perhaps 8-bit codes.
#pragma once
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr::gemm {

constexpr int kUsualBlock = 64;

// Scales of consecutive blocks. The product and the sum are rounded one after the other, as bitsandbytes does; a multiply-add would
// round once.
struct Scales {
  const Quant& q;
  int64_t block, outer, left;  // left: blocks up to the next absmax2
  Scales(const Quant& quant, int64_t first) : q(quant), block(first), outer(0), left(0) {
    if (!q.absmax) outer = first / q.blocksize2, left = q.blocksize2 - first % q.blocksize2;
  }
  float next() {
    if (q.absmax) return q.absmax[block++];
    if (left-- == 0) outer++, left = q.blocksize2 - 1;
    float product = q.code2[q.absmax8[block++]] * q.absmax2[outer];
#if defined(__x86_64__)
    asm("" : "+x"(product));
#elif defined(__aarch64__)
    asm("" : "+w"(product));
#else
    asm("" : "+m"(product));
#endif
    return product + q.offset;
  }
};

SAQR_INLINE vf roundedTo(vf v, bool toBf16) { return toBf16 ? (vf)(roundBf16(v) << 16) : v; }

// A block has but 16 values: they are scaled (and rounded) once, then looked up by nibble.
template <class Out> struct Table;

template <> struct Table<float> {
  static constexpr int kAtOnce = W;
  alignas(64) float values[16];
  Table(const float* codebook, float scale, bool rounded) {
    for (int i = 0; i < 16; i += W) store(values + i, roundedTo(load(codebook + i) * set1(scale), rounded));
  }
  // kAtOnce elements of kAtOnce / 2 bytes: a byte in each lane, shifted where the high nibble is meant
  SAQR_INLINE vf look(const uint8_t* p) const {
#if defined(__AVX512F__)
    const __m512i place = _mm512_set_epi64(0x8080800780808007, 0x8080800680808006, 0x8080800580808005, 0x8080800480808004, 0x8080800380808003,
                                           0x8080800280808002, 0x8080800180808001, 0x8080800080808000);
    int64_t bytes;
    memcpy(&bytes, p, 8);
    __m512i code = _mm512_srlv_epi32(_mm512_shuffle_epi8(_mm512_set1_epi64(bytes), place), _mm512_set1_epi64(4));
    return (vf)_mm512_permutexvar_ps(code, _mm512_load_ps(values));  // it reads the lower four bits
#elif defined(__AVX2__)
    const __m256i place = _mm256_set_epi64x(0x8080800380808003, 0x8080800280808002, 0x8080800180808001, 0x8080800080808000);
    int32_t bytes;
    memcpy(&bytes, p, 4);
    __m256i code = _mm256_srlv_epi32(_mm256_shuffle_epi8(_mm256_set1_epi32(bytes), place), _mm256_set1_epi64x(4));
    __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(values), code), high = _mm256_permutevar8x32_ps(_mm256_load_ps(values + 8), code);
    return (vf)_mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));  // three bits, and the fourth
#elif defined(__aarch64__)
    const uint8x16_t place = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1}, byte = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    const int8x16_t shift = {-4, -4, -4, -4, 0, 0, 0, 0, -4, -4, -4, -4, 0, 0, 0, 0};
    uint16_t bytes;
    memcpy(&bytes, p, 2);
    const uint8x16_t code = vandq_u8(vshlq_u8(vqtbl1q_u8((uint8x16_t)vdupq_n_u16(bytes), place), shift), vdupq_n_u8(15));
    return (vf)vqtbl4q_u8(vld1q_u8_x4((const uint8_t*)values), vorrq_u8(vshlq_n_u8(code, 2), byte));
#else
    vf out;
    for (int i = 0; i < W; i += 2) out[i] = values[p[i / 2] >> 4], out[i + 1] = values[p[i / 2] & 15];
    return out;
#endif
  }
};

#if defined(__AVX2__) && !defined(__AVX512F__)
#define SAQR_NF4_PLANES 1
// A block of 64 with a finite scale: bytes of the 16 values are looked up by 32 codes at once, and woven together. `rounded` values have two.
// put(i, elements i to i + 7), in order
template <bool rounded, class Put>
SAQR_INLINE void usualBlock(const float* codebook, float scale, const uint8_t* packed, Put put) {
  vf values[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    values[i] = load(codebook + i * W) * set1(scale);
    if (rounded) values[i] = (vf)((vu)values[i] + 0x7fff + ((vu)values[i] >> 16 & 1));  // as roundBf16: its lower half isn't looked at
  }
  // plane k: byte k of all 16, in both halves
  const __m256i byBytes = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m256i first = _mm256_shuffle_epi8((__m256i)values[0], byBytes), second = _mm256_shuffle_epi8((__m256i)values[1], byBytes);
  const __m256i even = _mm256_permute2x128_si256(first, second, 0x20), odd = _mm256_permute2x128_si256(first, second, 0x31);
  const __m256i lower = _mm256_unpacklo_epi32(even, odd), upper = _mm256_unpackhi_epi32(even, odd);
  const __m256i plane0 = _mm256_permute4x64_epi64(lower, 0x88), plane1 = _mm256_permute4x64_epi64(lower, 0xdd);
  const __m256i plane2 = _mm256_permute4x64_epi64(upper, 0x88), plane3 = _mm256_permute4x64_epi64(upper, 0xdd);
  // codes in the order that weaving takes apart: elements 0–3, 8–11, 16–19, 24–27 in the lower half, those between in the upper
  const __m256i pairs = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const __m256i bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)packed), pairs), 0xd8);
  const __m256i low = _mm256_and_si256(bytes, _mm256_set1_epi8(15)), high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    const __m256i codes = half ? _mm256_unpackhi_epi8(high, low) : _mm256_unpacklo_epi8(high, low);
    const __m256i byte2 = _mm256_shuffle_epi8(plane2, codes), byte3 = _mm256_shuffle_epi8(plane3, codes);
    const __m256i upper0 = _mm256_unpacklo_epi8(byte2, byte3), upper1 = _mm256_unpackhi_epi8(byte2, byte3);
    __m256i lower0 = _mm256_setzero_si256(), lower1 = lower0;
    if (!rounded) {
      const __m256i byte0 = _mm256_shuffle_epi8(plane0, codes), byte1 = _mm256_shuffle_epi8(plane1, codes);
      lower0 = _mm256_unpacklo_epi8(byte0, byte1), lower1 = _mm256_unpackhi_epi8(byte0, byte1);
    }
    put(half * 32, (vf)_mm256_unpacklo_epi16(lower0, upper0)), put(half * 32 + 8, (vf)_mm256_unpackhi_epi16(lower0, upper0));
    put(half * 32 + 16, (vf)_mm256_unpacklo_epi16(lower1, upper1)), put(half * 32 + 24, (vf)_mm256_unpackhi_epi16(lower1, upper1));
  }
}
#else
#define SAQR_NF4_PLANES 0
#endif

template <> struct Table<bf16> {
  static constexpr int kAtOnce = 2 * W;
  alignas(32) bf16 values[16];
#if defined(__AVX512BF16__)
  __m512i twice;  // the lookup reads five bits
  Table(const float* codebook, float scale, bool) {
    __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(_mm512_loadu_ps(codebook), _mm512_set1_ps(scale)));
    twice = _mm512_broadcast_i64x4(rounded);
    _mm256_store_si256((__m256i*)values, rounded);
  }
  SAQR_INLINE vf look(const uint8_t* p) const {
    const __m512i place = _mm512_set_epi64(0x800f800f800e800e, 0x800d800d800c800c, 0x800b800b800a800a, 0x8009800980088008,
                                           0x8007800780068006, 0x8005800580048004, 0x8003800380028002, 0x8001800180008000);
    __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)p));
    __m512i code = _mm512_srlv_epi16(_mm512_shuffle_epi8(bytes, place), _mm512_set1_epi32(4));
    return (vf)_mm512_permutexvar_epi16(code, twice);
  }
#else
  Table(const float* codebook, float scale, bool) {
    for (int i = 0; i < 16; i++) values[i] = toBf16(codebook[i] * scale);
  }
  SAQR_INLINE vf look(const uint8_t* p) const {
#if defined(__aarch64__)
    const uint8x16_t place = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}, byte = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
    const int8x16_t shift = {-4, -4, 0, 0, -4, -4, 0, 0, -4, -4, 0, 0, -4, -4, 0, 0};
    uint32_t bytes;
    memcpy(&bytes, p, 4);
    const uint8x16_t code = vandq_u8(vshlq_u8(vqtbl1q_u8((uint8x16_t)vdupq_n_u32(bytes), place), shift), vdupq_n_u8(15));
    return (vf)vqtbl2q_u8(vld1q_u8_x2((const uint8_t*)values), vorrq_u8(vshlq_n_u8(code, 1), byte));
#else
    bf16 out[2 * W];
    for (int i = 0; i < 2 * W; i += 2) out[i] = values[p[i / 2] >> 4], out[i + 1] = values[p[i / 2] & 15];
    return loadAs<vf>(out);
#endif
  }
#endif
};

}  // namespace saqr::gemm
