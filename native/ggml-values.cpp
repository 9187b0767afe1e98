// Values out of GGUF's block types, bit for bit as formats/gguf/dequantise.ts defines them. Scales are f16 and codes at most 8 bits: every
// product is exact in f32, so that the sum behind it, contracted or not, is the one rounding that there is.
#include <algorithm>
#include <cstring>
#include "ggml-values.hpp"
#include "parts.hpp"
#include "simd.hpp"

namespace saqr {
namespace {

// as f16ToF32: NaN has one form
float half(const uint8_t* at) {
  uint16_t h;
  memcpy(&h, at, 2);
  uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 0) {
    float size = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -size : size;
  }
  uint32_t bits = exponent < 31 ? sign | (exponent + 112) << 23 | fraction << 13 : fraction ? 0x7fc00000 : sign | 0x7f800000;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// ---- codes of 32 weights, a byte each

void nibbles(const uint8_t* at, uint8_t* q) {
  for (int j = 0; j < 16; j++) q[j] = at[j] & 15, q[j + 16] = at[j] >> 4;
}
// a fifth bit each, in the 4 bytes before the nibbles
void nibblesAndBit(const uint8_t* at, uint8_t* q) {
  uint32_t high;
  memcpy(&high, at, 4);
  nibbles(at + 4, q);
  for (int j = 0; j < 32; j++) q[j] |= (high >> j & 1) << 4;
}

// scale · (q − zero)
template <int N>
void scaled(const uint8_t* q, float scale, int zero, float* out) {
  for (int i = 0; i < N; i++) out[i] = scale * static_cast<float>(q[i] - zero);
}
// scale · q + shift
template <int N>
void shifted(const uint8_t* q, float scale, float shift, float* out) {
  for (int i = 0; i < N; i++) out[i] = scale * static_cast<float>(q[i]) + shift;
}

// ---- a block each

void q4_0(const uint8_t* at, float* out) {
  uint8_t q[32];
  nibbles(at + 2, q);
  scaled<32>(q, half(at), 8, out);
}
void q4_1(const uint8_t* at, float* out) {
  uint8_t q[32];
  nibbles(at + 4, q);
  shifted<32>(q, half(at), half(at + 2), out);
}
void q5_0(const uint8_t* at, float* out) {
  uint8_t q[32];
  nibblesAndBit(at + 2, q);
  scaled<32>(q, half(at), 16, out);
}
void q5_1(const uint8_t* at, float* out) {
  uint8_t q[32];
  nibblesAndBit(at + 4, q);
  shifted<32>(q, half(at), half(at + 2), out);
}
void q8_0(const uint8_t* at, float* out) {
  const float d = half(at);
  const int8_t* q = reinterpret_cast<const int8_t*>(at + 2);
  for (int i = 0; i < 32; i++) out[i] = d * static_cast<float>(q[i]);
}

// scale and minimum of the 8 sub-blocks of Q4_K and Q5_K, 6 bits each in 12 bytes: sub-blocks 4 to 7 keep two bits in the first eight
struct ScaleAndMin { int scale, min; };
ScaleAndMin scaleAndMin(const uint8_t* at, int j) {
  if (j < 4) return {at[j] & 63, at[j + 4] & 63};
  return {(at[j + 4] & 15) | at[j - 4] >> 6 << 4, at[j + 4] >> 4 | at[j] >> 6 << 4};
}

void q4_k(const uint8_t* at, float* out) {
  const float d = half(at), dmin = half(at + 2);
  uint8_t q[32];
  for (int j = 0; j < 8; j++) {
    const auto [scale, min] = scaleAndMin(at + 4, j);
    const uint8_t* from = at + 16 + j / 2 * 32;
    for (int k = 0; k < 32; k++) q[k] = from[k] >> j % 2 * 4 & 15;
    shifted<32>(q, d * static_cast<float>(scale), -(dmin * static_cast<float>(min)), out + j * 32);
  }
}
void q5_k(const uint8_t* at, float* out) {
  const float d = half(at), dmin = half(at + 2);
  uint8_t q[32];
  for (int j = 0; j < 8; j++) {
    const auto [scale, min] = scaleAndMin(at + 4, j);
    const uint8_t *from = at + 48 + j / 2 * 32, *high = at + 16;
    for (int k = 0; k < 32; k++) q[k] = (from[k] >> j % 2 * 4 & 15) | (high[k] >> j & 1) << 4;
    shifted<32>(q, d * static_cast<float>(scale), -(dmin * static_cast<float>(min)), out + j * 32);
  }
}
// 6-bit codes: of each half of 128, 64 bytes of low nibbles and 32 of two high bits; an int8 scale for each 16
void q6_k(const uint8_t* at, float* out) {
  const float d = half(at + 208);
  const int8_t* scales = reinterpret_cast<const int8_t*>(at + 192);
  uint8_t q[32];
  for (int j = 0; j < 8; j++) {
    const int quarter = j & 3;
    const uint8_t *low = at + j / 4 * 64 + quarter % 2 * 32, *high = at + 128 + j / 4 * 32;
    for (int k = 0; k < 32; k++) q[k] = (low[k] >> quarter / 2 * 4 & 15) | (high[k] >> quarter * 2 & 3) << 4;
    for (int part = 0; part < 2; part++)
      scaled<16>(q + part * 16, d * static_cast<float>(scales[j * 2 + part]), 32, out + j * 32 + part * 16);
  }
}
// a power of two in a byte, then codes of 1 bit of sign, 2 of exponent, 1 of fraction, twice what they mean; there is one zero only
void mxfp4(const uint8_t* at, float* out) {
  constexpr float kTwice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const uint32_t bits = at[0] < 2 ? 0x00200000u << at[0] : (at[0] - 1u) << 23;  // half of it; the two least have no exponent in f32
  float scale;
  memcpy(&scale, &bits, 4);
  uint8_t q[32];
  nibbles(at + 1, q);
  for (int i = 0; i < 32; i++) out[i] = scale * kTwice[q[i]];
}

void f16s(const uint8_t* at, float* out) {
  for (int i = 0; i < 32; i++) out[i] = half(at + 2 * i);
}
void bf16s(const uint8_t* at, float* out) {
  uint16_t h[32];
  memcpy(h, at, sizeof h);
  for (int i = 0; i < 32; i++) {
    const uint32_t bits = static_cast<uint32_t>(h[i]) << 16;
    memcpy(out + i, &bits, 4);
  }
}
void f32s(const uint8_t* at, float* out) { memcpy(out, at, 128); }

struct Kind { int type, weights, bytes; void (*values)(const uint8_t*, float*); };
constexpr Kind kKinds[] = {
    {0, 32, 128, f32s},  {1, 32, 64, f16s},   {30, 32, 64, bf16s},   {2, 32, 18, q4_0},    {3, 32, 20, q4_1},    {6, 32, 22, q5_0},
    {7, 32, 24, q5_1},   {8, 32, 34, q8_0},   {39, 32, 17, mxfp4},   {12, 256, 144, q4_k}, {13, 256, 176, q5_k}, {14, 256, 210, q6_k},
};

// as f32ToBf16: subnormals are kept, which the processor's own rounding drops, and every NaN is 0x7fc0
void rounded(const float* x, int n, uint16_t* out) {
  for (int i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    const uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    out[i] = static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : nearest);
  }
}

}  // namespace

bool valuesOfGgml(const uint8_t* blocks, int64_t n, int type, bool toBf16, void* out, int threads) {
  const Kind* kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.type == type; });
  if (kind == std::end(kKinds)) return false;
  inParts(n, 256, threads, [&](int, int64_t from, int64_t to) {
    alignas(64) float x[256];
    for (int64_t i = from; i < to; i += kind->weights) {
      const uint8_t* block = blocks + i / kind->weights * kind->bytes;
      const int count = static_cast<int>(std::min<int64_t>(kind->weights, to - i));  // of dense types a last few
      uint8_t last[128] = {};
      if (count < kind->weights) block = static_cast<uint8_t*>(memcpy(last, block, count * kind->bytes / kind->weights));
      kind->values(block, x);
      if (toBf16) rounded(x, count, static_cast<uint16_t*>(out) + i);
      else memcpy(static_cast<float*>(out) + i, x, count * sizeof(float));
    }
  });
  return true;
}

}  // namespace saqr
