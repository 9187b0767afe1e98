// Blocks of GGUF taken apart: 32 weights at a time are codes of a byte each, with a scale and a shift for each 16. Scales are f16 and codes at
// most 8 bits: every product is exact in f32, so that the sum behind it, contracted or not, is the one rounding that there is.
#pragma once
#include <cstring>
#include "simd.hpp"

namespace saqr::ggml {

// value = scale · code, + shift where the type has one
struct Codes {
  alignas(64) int8_t code[32];
  float scale[2], shift[2];
};

// as f16ToF32: NaN has one form
SAQR_INLINE float half(const uint8_t* at) {
  uint16_t h;
  memcpy(&h, at, 2);
#if defined(__F16C__) || defined(__AVX512F__)
  const float f = _cvtsh_ss(h);
#else
  const float f = halfToFloat(h);
#endif
  return f == f ? f : __builtin_nanf("");
}

// W codes in f32
SAQR_INLINE vf floats(const int8_t* code) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)code)));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)code)));
#else
  using bytes = int8_t __attribute__((vector_size(W)));
  return __builtin_convertvector(__builtin_convertvector(loadAs<bytes>(code), vi), vf);
#endif
}

// W bytes without a sign, in i32
SAQR_INLINE vi wide(const uint8_t* at) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)at));
#elif defined(__AVX2__)
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)at));
#else
  using bytes = uint8_t __attribute__((vector_size(W)));
  return __builtin_convertvector(loadAs<bytes>(at), vi);
#endif
}

using v16 = uint8_t __attribute__((vector_size(16)));
using v32 = uint8_t __attribute__((vector_size(32)));
template <class V>
SAQR_INLINE void put(int8_t* code, V v) { memcpy(code, &v, sizeof v); }

// the low nibbles of 16 bytes, then the high ones
SAQR_INLINE v32 nibbles(const uint8_t* at) {
  const v16 bytes = loadAs<v16>(at), halves[2] = {bytes & 15, bytes >> 4};
  return loadAs<v32>(halves);
}
// low or high nibbles of 32 bytes
SAQR_INLINE v32 nibblesOf(const uint8_t* at, bool high) {
  const v32 bytes = loadAs<v32>(at);
  return high ? bytes >> 4 : bytes & 15;
}
// a fifth bit each, in 4 bytes
SAQR_INLINE v32 fifths(const uint8_t* at) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  uint32_t bits;
  memcpy(&bits, at, 4);
  return (v32)_mm256_maskz_set1_epi8(bits, 16);
#else
  const v16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128}, first = {255, 255, 255, 255, 255, 255, 255, 255};
  v16 halves[2];
  for (int i = 0; i < 2; i++) {
    const v16 bytes = ((v16{} + at[2 * i]) & first) | ((v16{} + at[2 * i + 1]) & ~first);
    halves[i] = (v16)((bytes & bit) != 0) & 16;
  }
  return loadAs<v32>(halves);
#endif
}
SAQR_INLINE void both(Codes& c, float scale, float shift = 0) { c.scale[0] = c.scale[1] = scale, c.shift[0] = c.shift[1] = shift; }

// scale and minimum of the 8 sub-blocks of Q4_K and Q5_K, 6 bits each in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight
SAQR_INLINE void scaleAndMin(const uint8_t* block, int j, Codes& c) {
  const uint8_t* at = block + 4;
  const int scale = j < 4 ? at[j] & 63 : (at[j + 4] & 15) | at[j - 4] >> 6 << 4, min = j < 4 ? at[j + 4] & 63 : at[j + 4] >> 4 | at[j] >> 6 << 4;
  both(c, half(block) * static_cast<float>(scale), -(half(block + 2) * static_cast<float>(min)));
}

// 32 codes of 4 bits with one scale: they have but 16 values, which are made once and looked up, where a lookup is of 32 lanes.
// `words`: a code in each lane's lowest 4 bits; `table`: the values of the 16
#if defined(__AVX512BF16__)
#define SAQR_LOOKUP 1
SAQR_INLINE __m512i lowThenHigh(const uint8_t* at) {
  const __m256i words = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)at));
  return _mm512_inserti64x4(_mm512_castsi256_si512(words), _mm256_srli_epi16(words, 4), 1);
}
SAQR_INLINE __m512i lowOrHigh(const uint8_t* at, bool high) {
  return _mm512_srl_epi16(_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)at)), _mm_cvtsi32_si128(high ? 4 : 0));
}
// an f16 in all lanes; NaN has whatever form
SAQR_INLINE vf halves(const uint8_t* at) {
  uint16_t h;
  memcpy(&h, at, 2);
  return (vf)_mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}
SAQR_INLINE vf sixteen(int zero = 0) { return (vf)_mm512_cvtepi32_ps((__m512i)(iota() - zero)); }
// what a lookup by five bits reads, the fifth of another code
SAQR_INLINE vf look(__m512i words, vf table) {
  return (vf)_mm512_permutexvar_epi16(words, _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh((__m512)table)));
}
// of codes of more bits: the first and the last 16, with a scale each
SAQR_INLINE vf scaled(v32 codes, vf first, vf last, vf shift = set1(-0.0f)) {  // −0 leaves the sign of a zero
  const vf low = (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_castsi256_si128((__m256i)codes))) * first + shift;
  const vf high = (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm256_extracti128_si256((__m256i)codes, 1))) * last + shift;
  return (vf)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}
#else
#define SAQR_LOOKUP 0
#endif

/*
 * Of few rows a block of 32 is multiplied as it lies: Σ (scale · code + shift) · x = scale · Σ code · x + shift · Σ x, exact values whose sum is scaled
 * once. `factor`s, elsewhere than on x86-64 `factors`, are the codes as they come, `turnX` gives the x that they are multiplied with. Of a byte of two
 * codes the lower is taken out, the higher is what stays: h = (byte − l) / 16, so that l · x + h · y = l · (x − y / 16) + byte · (y / 16).
 */
#if defined(__AVX2__)
// of all sub-blocks, as `scaleAndMin` has one's: a byte each, 8 scales, then 8 minima
SAQR_INLINE __m128i scalesAndMins(const uint8_t* block) {
  const __m128i t = _mm_loadu_si128((const __m128i*)(block + 4)), first = _mm_and_si128(t, _mm_set1_epi32(0x3f3f3f3f));
  const __m128i low = _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(t, 0xaa), _mm_setr_epi32(0, 4, 0, 0)), _mm_set1_epi32(0x0f0f0f0f));
  const __m128i last = _mm_or_si128(low, _mm_and_si128(_mm_srli_epi32(t, 2), _mm_set1_epi32(0x30303030)));
  return _mm_unpacklo_epi32(first, last);
}
#define SAQR_ROWS_TOGETHER 1
}  // namespace saqr::ggml
#if defined(__AVX512F__)
#include "ggml-bytes.hpp"
#else
#include "ggml-words.hpp"
#endif
namespace saqr::ggml {
#else
#define SAQR_ROWS_TOGETHER 0
constexpr int kVectors = 32 / W;
SAQR_INLINE void bytePairs(const uint8_t* at, vf* c) {
#pragma GCC unroll 4
  for (int i = 0; i < kVectors / 2; i++) {
    const vi bytes = wide(at + i * W);
    c[i] = __builtin_convertvector(bytes & 15, vf), c[kVectors / 2 + i] = __builtin_convertvector(bytes, vf);
  }
}
inline void turnPairs(const float* x, float* out) {
  for (int i = 0; i < 16; i += W) {
    const vf high = load(x + 16 + i) * 0.0625f;
    store(out + i, load(x + i) - high), store(out + 16 + i, high);
  }
}
#endif

// ---- a type each: kWeights a block of kBytes, `take` sub-block j of the block at `at`

struct Q4_0 {
  static constexpr int kWeights = 32, kBytes = 18;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { put(c.code, nibbles(at + 2) - 8), both(c, half(at)); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int) { return look(lowThenHigh(at + 2), sixteen(8) * halves(at)); }
#endif
  static constexpr bool kSumX = true;  // for `shift`
#if SAQR_ROWS_TOGETHER
  static constexpr float kShiftOfFirst = -8, kShiftOfSecond = 0;  // shift = Σ of the block's two first halves with these factors
  SAQR_INLINE static auto bits(const uint8_t* at) { return words(at + 2); }
  SAQR_INLINE static vf factor(vi bits, int i) { return upTo(bits, i); }
#else
  SAQR_INLINE static void factors(const uint8_t* at, vf* c) { bytePairs(at + 2, c); }
  SAQR_INLINE static void scales(const uint8_t* at, vf& scale, vf& shift) { scale = set1(half(at)), shift = scale * -8.0f; }
#endif
  static void turnX(const float* x, float* out) { turnPairs(x, out); }
};
struct Q4_1 {
  static constexpr int kWeights = 32, kBytes = 20;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { put(c.code, nibbles(at + 4)), both(c, half(at), half(at + 2)); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int) { return look(lowThenHigh(at + 4), sixteen() * halves(at) + halves(at + 2)); }
#endif
  static constexpr bool kSumX = true;
#if SAQR_ROWS_TOGETHER
  static constexpr float kShiftOfFirst = 0, kShiftOfSecond = 1;
  SAQR_INLINE static auto bits(const uint8_t* at) { return words(at + 4); }
  SAQR_INLINE static vf factor(vi bits, int i) { return upTo(bits, i); }
#else
  SAQR_INLINE static void factors(const uint8_t* at, vf* c) { bytePairs(at + 4, c); }
  SAQR_INLINE static void scales(const uint8_t* at, vf& scale, vf& shift) { scale = set1(half(at)), shift = set1(half(at + 2)); }
#endif
  static void turnX(const float* x, float* out) { turnPairs(x, out); }
};
struct Q5_0 {
  static constexpr int kWeights = 32, kBytes = 22;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { put(c.code, (nibbles(at + 6) | fifths(at + 2)) - 16), both(c, half(at)); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int) { return scaled((nibbles(at + 6) | fifths(at + 2)) - 16, halves(at), halves(at)); }
#endif
#if SAQR_ROWS_TOGETHER
  static constexpr bool kSumX = true;
  static constexpr float kShiftOfFirst = -16, kShiftOfSecond = 0;
  SAQR_INLINE static auto bits(const uint8_t* at) { return nibblesInBytes(at + 6) | fifthsInBytes(at + 2); }
  SAQR_INLINE static vf factor(auto bits, int i) { return bytesUpTo(bits, i); }
  static void turnX(const float* x, float* out) { turnBytes(x, out); }
#endif
};
struct Q5_1 {
  static constexpr int kWeights = 32, kBytes = 24;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { put(c.code, nibbles(at + 8) | fifths(at + 4)), both(c, half(at), half(at + 2)); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int) { return scaled(nibbles(at + 8) | fifths(at + 4), halves(at), halves(at), halves(at + 2)); }
#endif
#if SAQR_ROWS_TOGETHER
  static constexpr bool kSumX = true;
  static constexpr float kShiftOfFirst = 0, kShiftOfSecond = 1;
  SAQR_INLINE static auto bits(const uint8_t* at) { return nibblesInBytes(at + 8) | fifthsInBytes(at + 4); }
  SAQR_INLINE static vf factor(auto bits, int i) { return bytesUpTo(bits, i); }
  static void turnX(const float* x, float* out) { turnBytes(x, out); }
#endif
};
struct Q8_0 {
  static constexpr int kWeights = 32, kBytes = 34;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { memcpy(c.code, at + 2, 32), both(c, half(at)); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int) { return scaled(loadAs<v32>(at + 2), halves(at), halves(at)); }
#endif
  static constexpr bool kSumX = false;
#if SAQR_ROWS_TOGETHER
  static constexpr float kShiftOfFirst = 0, kShiftOfSecond = 0;
  SAQR_INLINE static const int8_t* bits(const uint8_t* at) { return reinterpret_cast<const int8_t*>(at + 2); }
  SAQR_INLINE static vf factor(const int8_t* bits, int i) { return floats(bits + i * W); }
#else
  SAQR_INLINE static void factors(const uint8_t* at, vf* c) {
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; i++) c[i] = floats(reinterpret_cast<const int8_t*>(at + 2) + i * W);
  }
  SAQR_INLINE static void scales(const uint8_t* at, vf& scale, vf&) { scale = set1(half(at)); }
#endif
  static void turnX(const float* x, float* out) { memcpy(out, x, 32 * sizeof(float)); }
};
struct Q4_K {
  static constexpr int kWeights = 256, kBytes = 144;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) { put(c.code, nibblesOf(at + 16 + j / 2 * 32, j % 2)), scaleAndMin(at, j, c); }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int j) {
    Codes c;
    scaleAndMin(at, j, c);
    return look(lowOrHigh(at + 16 + j / 2 * 32, j % 2), sixteen() * c.scale[0] + c.shift[0]);
  }
#endif
#if SAQR_ROWS_TOGETHER
  using Scales = SixBitScales;
  SAQR_INLINE static auto bits(const uint8_t* at, int j) { return nibblesOfWords(at + 16 + j / 2 * 32, j % 2); }
#endif
};
struct Q5_K {
  static constexpr int kWeights = 256, kBytes = 176;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) {
    put(c.code, nibblesOf(at + 48 + j / 2 * 32, j % 2) | (loadAs<v32>(at + 16) >> j & 1) << 4);
    scaleAndMin(at, j, c);
  }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int j) {
    Codes c;
    take(at, j, c);
    return scaled(loadAs<v32>(c.code), set1(c.scale[0]), set1(c.scale[0]), set1(c.shift[0]));
  }
#endif
#if SAQR_ROWS_TOGETHER
  using Scales = SixBitScales;
  SAQR_INLINE static auto bits(const uint8_t* at, int j) { return nibblesOfWords(at + 48 + j / 2 * 32, j % 2) | bitsTo<4>(loadAs<v32>(at + 16), j, 0x10101010); }
#endif
};
// 6-bit codes: of each half of 128, 64 bytes of low nibbles and 32 of two high bits; an int8 scale for each 16
struct Q6_K {
  static constexpr int kWeights = 256, kBytes = 210;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) {
    const int quarter = j & 3;
    const v32 low = nibblesOf(at + j / 4 * 64 + quarter % 2 * 32, quarter / 2), high = loadAs<v32>(at + 128 + j / 4 * 32);
    put(c.code, (low | (high >> quarter * 2 & 3) << 4) - 32);
    const float d = half(at + 208);
    for (int part = 0; part < 2; part++) c.scale[part] = d * static_cast<float>(static_cast<int8_t>(at[192 + j * 2 + part])), c.shift[part] = 0;
  }
#if SAQR_LOOKUP
  SAQR_INLINE static vf bf16s(const uint8_t* at, int j) {
    Codes c;
    take(at, j, c);
    return scaled(loadAs<v32>(c.code), set1(c.scale[0]), set1(c.scale[1]));
  }
#endif
#if SAQR_ROWS_TOGETHER
  using Scales = ByteScales;
  SAQR_INLINE static auto bits(const uint8_t* at, int j) {
    const int quarter = j & 3;
    const auto low = nibblesOfWords(at + j / 4 * 64 + quarter % 2 * 32, quarter / 2);
    return low | bitsTo<4>(loadAs<v32>(at + 128 + j / 4 * 32), quarter * 2, 0x30303030);
  }
#endif
};

// all 32, W by W: put(from, values)
template <class Kind, class Put>
SAQR_INLINE void values(const Codes& c, Put put) {
#pragma GCC unroll 8
  for (int i = 0; i < 32; i += W) {
    const vf product = floats(c.code + i) * c.scale[i / 16];
    put(i, Kind::kShift ? product + c.shift[i / 16] : product);
  }
}

}  // namespace saqr::ggml
