// Tells one model's weights from another's: 128 bits a chunk, in whole numbers alone, so that every variant, and test/engine/digest.test.ts
// in BigInt, has the same. What a lane reads goes into two states: one is a bijection of it (one value that differs is always seen), the other
// a sum turned otherwise, so that no two differences cancel in both by their places alone.
#include "digest.hpp"
#include <algorithm>
#include <cstring>

namespace saqr {
namespace {

constexpr int kLanes = 32;                     // of 64 bits: several vectors whose products don't wait for each other
constexpr uint64_t kStripe = kLanes * 8;       // bytes
constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2⁶⁴ over the golden ratio
constexpr uint64_t kMix = 0xd6e8feb86659fd93, kMix2 = 0xff51afd7ed558ccd;

using vq = uint64_t __attribute__((vector_size(64)));
constexpr int kVectors = kLanes / 8;

// of a reference: a vector by value would have another ABI in every variant
template <int N>
inline __attribute__((always_inline)) void rotate(vq& x) { x = x << N | x >> (64 - N); }

struct States {
  vq product[kVectors], sum[kVectors];
};

inline __attribute__((always_inline)) void stripe(States& s, const char* bytes) {
  for (int v = 0; v < kVectors; v++) {
    vq x;
    memcpy(&x, bytes + 64 * v, 64);
    vq& product = s.product[v];
    product ^= x;
    rotate<29>(product);
    product *= kOdd;
    rotate<7>(s.sum[v]);
    s.sum[v] += x;
  }
}

uint64_t mix(uint64_t x) {
  x = (x ^ x >> 32) * kMix;
  x = (x ^ x >> 29) * kMix2;
  return x ^ x >> 32;
}

void chunk(const char* bytes, uint64_t count, uint64_t* out) {
  States s;
  for (int j = 0; j < kLanes; j++) {
    s.product[j / 8][j % 8] = (j + 1) * kOdd;
    s.sum[j / 8][j % 8] = 0;
  }
  uint64_t at = 0;
  for (; at + kStripe <= count; at += kStripe) stripe(s, bytes + at);
  if (at < count) {
    char last[kStripe] = {};
    memcpy(last, bytes + at, count - at);
    stripe(s, last);
  }
  uint64_t a = mix(count + kOdd), b = mix(a);
  for (int j = 0; j < kLanes; j++) {
    a = mix(a ^ s.product[j / 8][j % 8]);
    b = mix((b ^ s.sum[j / 8][j % 8]) + a);
  }
  out[0] = a;
  out[1] = b;
}

}  // namespace

void digest(const void* bytes, uint64_t count, uint64_t* out) {
  for (uint64_t at = 0; at < count; at += kDigestChunk, out += 2)
    chunk(static_cast<const char*>(bytes) + at, std::min(kDigestChunk, count - at), out);
}

}  // namespace saqr
