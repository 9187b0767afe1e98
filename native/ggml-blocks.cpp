// Weights to GGUF's block types, bit for bit as ggml's reference quantisers make them. Those sum in order, one float after another, and
// never contract a product and a sum (build.mjs compiles these files so too).
#include <algorithm>
#include <cstring>
#include "ggml-blocks.hpp"
#include "ggml-parts.hpp"
#include "parts.hpp"

namespace saqr {
namespace {

using namespace ggml;

constexpr int kInfinite = 0x7f800000, kAboveHalf = 0x477ff000;  // bits of what is too large, from 65520 on for f16

bool below(int bound, const float* x, int64_t n) {
  int largest = 0;
  for (int64_t i = 0; i < n; i++) {
    int bits;
    memcpy(&bits, x + i, 4);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest < bound;
}

void toBf16(const float* x, int64_t n, uint8_t* out) {
  for (int64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, 4);
    uint16_t h = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    memcpy(out + 2 * i, &h, 2);
  }
}
void toF16(const float* x, int64_t n, uint8_t* out) {
  for (int64_t i = 0; i < n; i++) putHalf(out + 2 * i, x[i]);
}

constexpr int kMany = 4096;
constexpr Type kDense[] = {
    {1, 1, 2, kMany, [](const float* x, int n, uint8_t* out) { toF16(x, n, out); }},
    {30, 1, 2, kMany, [](const float* x, int n, uint8_t* out) { toBf16(x, n, out); }},
};

const Type* typeOf(int id) {
  for (const Type& t : kDense) if (t.id == id) return &t;
  for (const Type& t : kBlocks32) if (t.id == id) return &t;
  for (const Type& t : kSuperBlocks) if (t.id == id) return &t;
  return nullptr;
}

}  // namespace

int64_t quantiseGgml(const float* values, int64_t n, int type, uint8_t* out, int threads) {
  const Type* found = typeOf(type);
  if (!found || n % found->block) return -2;
  const Type& t = *found;
  int64_t bad[kMostParts];
  std::fill(bad, bad + kMostParts, -1);
  inParts(n, static_cast<int64_t>(t.block) * t.blocks, threads, [&](int part, int64_t from, int64_t to) {
    for (int64_t at = from; at < to; at += static_cast<int64_t>(t.block) * t.blocks) {
      int count = static_cast<int>(std::min<int64_t>(t.blocks, (to - at) / t.block));
      if (!below(t.id == 1 ? kAboveHalf : kInfinite, values + at, static_cast<int64_t>(count) * t.block)) {
        bad[part] = at / t.block;  // of f16 and bf16, where the parts' search begins
        return;
      }
      t.make(values + at, count, out + at / t.block * t.bytes);
    }
  });
  for (int64_t found : bad) if (found >= 0) return found;
  return -1;
}

}  // namespace saqr
