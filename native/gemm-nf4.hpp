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
// A block of 64 with a finite scale: bytes of the 16 values are looked up by 32 codes at once. Elements i and i + 8 come out as the halves of a
// lane, so that a shift and a mask part them: what moves bytes between lanes is what most of this waits for. `rounded` values have two bytes.
template <bool rounded>
struct UsualBlock {
  // bytes of all 16 values, in both halves
  struct Planes { __m256i low, high; };
  Planes upper, lower;
  __m256i even, odd;  // codes of even and of odd elements

  SAQR_INLINE UsualBlock(const float* codebook, float scale, const uint8_t* packed) {
    // 0–3 and 8–11, 4–7 and 12–15: packing half by half puts them in order
    vu values[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
      const vf book = (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(codebook + 4 * i)), _mm_loadu_ps(codebook + 8 + 4 * i), 1);
      values[i] = (vu)(book * set1(scale));
      if (rounded) values[i] += 0x7fff + (values[i] >> 16 & 1);  // as roundBf16: its lower half isn't looked at
    }
    upper = planes((__m256i)(values[0] >> 16), (__m256i)(values[1] >> 16));
    if (!rounded) lower = planes((__m256i)(values[0] & 0xffff), (__m256i)(values[1] & 0xffff));
    // of 8 bytes 0 and 4, 1 and 5, whose codes are elements 0 and 8, 2 and 10; bytes 2, 6, 3 and 7 of them in the upper half
    const __m256i pairs = _mm256_setr_epi8(0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15, 0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)packed), pairs), 0xd8);
    odd = _mm256_and_si256(bytes, _mm256_set1_epi8(15)), even = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
  }

  // 32 elements: put(i, elements i to i + 7), in order
  template <class Put>
  SAQR_INLINE void half(int half, Put put) const {
    const __m256i codes = half ? _mm256_unpackhi_epi16(even, odd) : _mm256_unpacklo_epi16(even, odd);
    const __m256i mask = _mm256_set1_epi32(static_cast<int>(0xffff0000));
#pragma GCC unroll 2
    for (int quarter = 0; quarter < 2; quarter++) {
      const __m256i above = words(upper, codes, quarter);
      __m256i first = _mm256_slli_epi32(above, 16), second = _mm256_and_si256(above, mask);
      if (!rounded) {
        const __m256i below = words(lower, codes, quarter);
        first = _mm256_or_si256(first, _mm256_andnot_si256(mask, below)), second = _mm256_or_si256(second, _mm256_srli_epi32(below, 16));
      }
      put(half * 32 + quarter * 16, (vf)first), put(half * 32 + quarter * 16 + 8, (vf)second);
    }
  }

 private:
  static SAQR_INLINE Planes planes(__m256i first, __m256i second) {
    const __m256i words = _mm256_packus_epi32(first, second);
    const __m256i bytes = _mm256_packus_epi16(_mm256_and_si256(words, _mm256_set1_epi16(255)), _mm256_srli_epi16(words, 8));
    return {_mm256_permute4x64_epi64(bytes, 0x88), _mm256_permute4x64_epi64(bytes, 0xdd)};
  }
  static SAQR_INLINE __m256i words(const Planes& of, __m256i codes, int quarter) {
    const __m256i low = _mm256_shuffle_epi8(of.low, codes), high = _mm256_shuffle_epi8(of.high, codes);
    return quarter ? _mm256_unpackhi_epi8(low, high) : _mm256_unpacklo_epi8(low, high);
  }
};

template <bool rounded, class Put>
SAQR_INLINE void usualBlock(const float* codebook, float scale, const uint8_t* packed, Put put) {
  const UsualBlock<rounded> block(codebook, scale, packed);
  block.half(0, put), block.half(1, put);
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
