// Values out of GGUF's block types, bit for bit as formats/gguf/dequantise.ts defines them.
#include <algorithm>
#include <cstring>
#include <iterator>
#include "ggml-codes.hpp"
#include "ggml-values.hpp"
#include "parts.hpp"

namespace saqr {
namespace {

template <class Kind>
void blockOf(const uint8_t* at, float* out) {
  for (int j = 0; j < Kind::kWeights / 32; j++) {
    ggml::Codes codes;
    Kind::take(at, j, codes);
    ggml::values<Kind>(codes, [&](int i, vf v) { store(out + 32 * j + i, v); });
  }
}
// a power of two in a byte, then codes of 1 bit of sign, 2 of exponent, 1 of fraction, twice what they mean; there is one zero only
void mxfp4(const uint8_t* at, float* out) {
  constexpr float kTwice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const uint32_t bits = at[0] < 2 ? 0x00200000u << at[0] : (at[0] - 1u) << 23;  // half of it; the two least have no exponent in f32
  float scale;
  memcpy(&scale, &bits, 4);
  alignas(64) int8_t q[32];
  ggml::put(q, ggml::nibbles(at + 1));
  for (int i = 0; i < 32; i++) out[i] = scale * kTwice[q[i]];
}

void f16s(const uint8_t* at, float* out) {
  for (int i = 0; i < 32; i++) out[i] = ggml::half(at + 2 * i);
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
template <class K>
constexpr Kind kind(int type) { return {type, K::kWeights, K::kBytes, blockOf<K>}; }
constexpr Kind kKinds[] = {
    {0, 32, 128, f32s},     {1, 32, 64, f16s},      {30, 32, 64, bf16s},     {39, 32, 17, mxfp4},     kind<ggml::Q4_0>(2),   kind<ggml::Q4_1>(3),
    kind<ggml::Q5_0>(6),    kind<ggml::Q5_1>(7),    kind<ggml::Q8_0>(8),     kind<ggml::Q4_K>(12),    kind<ggml::Q5_K>(13),  kind<ggml::Q6_K>(14),
};

// as f32ToBf16: subnormals are kept, which the processor's own rounding drops, and every NaN is 0x7fc0
void rounded(const uint8_t* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + 4 * i, 4);
    const uint32_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    out[i] = static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : nearest);
  }
}

void widened(const uint8_t* x, int64_t n, float* out) {
  for (int64_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, x + 2 * i, 2);
    const uint32_t bits = static_cast<uint32_t>(h) << 16;
    memcpy(out + i, &bits, 4);
  }
}

constexpr int kF32 = 0, kBf16 = 30;

}  // namespace

bool valuesOfGgml(const uint8_t* blocks, int64_t n, int type, bool toBf16, void* out, int threads) {
  const Kind* kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return k.type == type; });
  if (kind == std::end(kKinds)) return false;
  inParts(n, 256, threads, [&](int, int64_t from, int64_t to) {
    // what every checkpoint is read and written in, without a stop at each few
    if (type == kBf16 && !toBf16) return widened(blocks + 2 * from, to - from, static_cast<float*>(out) + from);
    if (type == kF32 && toBf16) return rounded(blocks + 4 * from, to - from, static_cast<uint16_t*>(out) + from);
    alignas(64) float x[256];
    for (int64_t i = from; i < to; i += kind->weights) {
      const uint8_t* block = blocks + i / kind->weights * kind->bytes;
      const int count = static_cast<int>(std::min<int64_t>(kind->weights, to - i));  // of dense types a last few
      uint8_t last[128] = {};
      if (count < kind->weights) block = static_cast<uint8_t*>(memcpy(last, block, count * kind->bytes / kind->weights));
      kind->values(block, x);
      if (toBf16) rounded(reinterpret_cast<const uint8_t*>(x), count, static_cast<uint16_t*>(out) + i);
      else memcpy(static_cast<float*>(out) + i, x, count * sizeof(float));
    }
  });
  return true;
}

void unrotate(const uint8_t* stored, uint8_t* out, int64_t bytes, int64_t lines, int64_t line, int64_t from) {
  const int64_t half = lines / 2;
  for (int64_t at = 0, i = from; at < bytes; at += line, i++) {
    const int64_t within = i % lines, source = i - within + within % half * 2 + (within >= half);
    memcpy(out + at, stored + source * line, line);
  }
}

}  // namespace saqr
