#pragma once
// What makes blocks of several kinds. The files that include this never contract a product and a sum (build.mjs, EXACT).
#include <cmath>
#include <cstdint>
#include <cstring>
#include "simd.hpp"

namespace saqr {
namespace ggml {

inline uint16_t toHalf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00;
  if (size >= 0x477ff000) return sign | 0x7c00;  // 65520 and above round to infinity
  if (size < 0x38800000) {                       // below 2^-14: a multiple of 2^-24, which is an ulp of 0.5
    float f;
    memcpy(&f, &size, 4);
    f += 0.5f;
    memcpy(&bits, &f, 4);
    return sign | (bits - 0x3f000000);
  }
  return sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
}

inline float fromHalf(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  float size = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? std::ldexp(1024.0f + fraction, exponent - 25) : std::ldexp(static_cast<float>(fraction), -24);
  return h & 0x8000 ? -size : size;
}

inline void putHalf(uint8_t* at, float x) {
  uint16_t h = toHalf(x);
  memcpy(at, &h, 2);
}

// nearest, ties to even, as the lower bits of 1.5 · 2^23 + x
inline int nearest(float x) {
  float shifted = x + 12582912.0f;
  int bits;
  memcpy(&bits, &shifted, 4);
  return (bits & 0x007fffff) - 0x00400000;
}
SAQR_INLINE vi nearest(vf x) { return (asInt(x + 12582912.0f) & 0x007fffff) - 0x00400000; }
SAQR_INLINE vi clampTo(vi x, int low, int high) {
  x = x < low ? set1(low) : x;
  return x > high ? set1(high) : x;
}
SAQR_INLINE vf floats(vi x) { return __builtin_convertvector(x, vf); }
SAQR_INLINE vi whole(vf x) { return __builtin_convertvector(x, vi); }  // towards zero

struct Type { int id, block, bytes, blocks; void (*make)(const float* x, int count, uint8_t* out); };  // `blocks` made at once

extern const Type kBlocks32[5];     // ggml-blocks-32.cpp
extern const Type kSuperBlocks[3];  // ggml-super-blocks.cpp

}  // namespace ggml
}  // namespace saqr
