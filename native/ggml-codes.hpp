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

using v16 = uint8_t __attribute__((vector_size(16)));
// the low nibbles of 16 bytes, then the high ones
SAQR_INLINE void nibbles(const uint8_t* at, int8_t* code) {
  const v16 bytes = loadAs<v16>(at), low = bytes & 15, high = bytes >> 4;
  memcpy(code, &low, 16);
  memcpy(code + 16, &high, 16);
}
// low or high nibbles of 32 bytes
SAQR_INLINE void nibblesOf(const uint8_t* at, bool high, int8_t* code) {
  for (int i = 0; i < 32; i += 16) {
    const v16 bytes = loadAs<v16>(at + i), codes = high ? bytes >> 4 : bytes & 15;
    memcpy(code + i, &codes, 16);
  }
}
// a fifth bit each, in 4 bytes
SAQR_INLINE void addBits(const uint8_t* at, int8_t* code) {
  const v16 bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  for (int i = 0; i < 2; i++) {
    v16 bytes{};
    for (int k = 0; k < 16; k++) bytes[k] = at[2 * i + k / 8];
    const v16 five = loadAs<v16>(code + 16 * i) | ((v16)((bytes & bit) != 0) & 16);
    memcpy(code + 16 * i, &five, 16);
  }
}
SAQR_INLINE void less(int8_t* code, int zero) {
  for (int i = 0; i < 32; i++) code[i] = static_cast<int8_t>(code[i] - zero);
}
SAQR_INLINE void both(Codes& c, float scale, float shift = 0) { c.scale[0] = c.scale[1] = scale, c.shift[0] = c.shift[1] = shift; }

// scale and minimum of the 8 sub-blocks of Q4_K and Q5_K, 6 bits each in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight
SAQR_INLINE void scaleAndMin(const uint8_t* block, int j, Codes& c) {
  const uint8_t* at = block + 4;
  const int scale = j < 4 ? at[j] & 63 : (at[j + 4] & 15) | at[j - 4] >> 6 << 4, min = j < 4 ? at[j + 4] & 63 : at[j + 4] >> 4 | at[j] >> 6 << 4;
  both(c, half(block) * static_cast<float>(scale), -(half(block + 2) * static_cast<float>(min)));
}

// ---- a type each: kWeights a block of kBytes, `take` sub-block j of the block at `at`

struct Q4_0 {
  static constexpr int kWeights = 32, kBytes = 18;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { nibbles(at + 2, c.code), less(c.code, 8), both(c, half(at)); }
};
struct Q4_1 {
  static constexpr int kWeights = 32, kBytes = 20;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { nibbles(at + 4, c.code), both(c, half(at), half(at + 2)); }
};
struct Q5_0 {
  static constexpr int kWeights = 32, kBytes = 22;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { nibbles(at + 6, c.code), addBits(at + 2, c.code), less(c.code, 16), both(c, half(at)); }
};
struct Q5_1 {
  static constexpr int kWeights = 32, kBytes = 24;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { nibbles(at + 8, c.code), addBits(at + 4, c.code), both(c, half(at), half(at + 2)); }
};
struct Q8_0 {
  static constexpr int kWeights = 32, kBytes = 34;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int, Codes& c) { memcpy(c.code, at + 2, 32), both(c, half(at)); }
};
struct Q4_K {
  static constexpr int kWeights = 256, kBytes = 144;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) { nibblesOf(at + 16 + j / 2 * 32, j % 2, c.code), scaleAndMin(at, j, c); }
};
struct Q5_K {
  static constexpr int kWeights = 256, kBytes = 176;
  static constexpr bool kShift = true;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) {
    nibblesOf(at + 48 + j / 2 * 32, j % 2, c.code);
    for (int k = 0; k < 32; k++) c.code[k] |= static_cast<int8_t>((at[16 + k] >> j & 1) << 4);
    scaleAndMin(at, j, c);
  }
};
// 6-bit codes: of each half of 128, 64 bytes of low nibbles and 32 of two high bits; an int8 scale for each 16
struct Q6_K {
  static constexpr int kWeights = 256, kBytes = 210;
  static constexpr bool kShift = false;
  SAQR_INLINE static void take(const uint8_t* at, int j, Codes& c) {
    const int quarter = j & 3;
    nibblesOf(at + j / 4 * 64 + quarter % 2 * 32, quarter / 2, c.code);
    const uint8_t* high = at + 128 + j / 4 * 32;
    for (int k = 0; k < 32; k++) c.code[k] = static_cast<int8_t>((c.code[k] | (high[k] >> quarter * 2 & 3) << 4) - 32);
    const float d = half(at + 208);
    for (int part = 0; part < 2; part++) c.scale[part] = d * static_cast<float>(static_cast<int8_t>(at[192 + j * 2 + part])), c.shift[part] = 0;
  }
};

// all 32, W by W: put(from, values)
template <class Kind, class Put>
SAQR_INLINE void values(const Codes& c, Put put) {
  using bytes = int8_t __attribute__((vector_size(W)));
#pragma GCC unroll 8
  for (int i = 0; i < 32; i += W) {
    const vf code = __builtin_convertvector(__builtin_convertvector(loadAs<bytes>(c.code + i), vi), vf);
    const vf product = code * c.scale[i / 16];
    put(i, Kind::kShift ? product + c.shift[i / 16] : product);
  }
}

}  // namespace saqr::ggml
