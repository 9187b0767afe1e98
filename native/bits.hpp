// Random bits that are a function of where they fall (src/ops/dropout/op.ts defines them): a key a token, a hash a channel.
#pragma once
#include <initializer_list>
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr {

constexpr uint32_t kGolden = 0x9e3779b9;

// Murmur3's finaliser, of a word or of a vector of them
template <class V>
SAQR_INLINE V mix32(V h) {
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  return h ^ (h >> 16);
}

SAQR_INLINE uint32_t wordAt(const Tensor& t, int64_t row, int64_t column = 0) {
  return static_cast<const uint32_t*>(t.data)[row * t.stride + column];
}

// seed, step, row, depth, module (and, of an expert's row, the expert), folded one after another
SAQR_INLINE uint32_t tokenKey(std::initializer_list<uint32_t> parts) {
  uint32_t key = 0;
  for (uint32_t part : parts) key = mix32((key ^ part) + kGolden);
  return key;
}

SAQR_INLINE vu channelBits(vu channels, uint32_t key) { return mix32(channels * kGolden + key); }

}  // namespace saqr
