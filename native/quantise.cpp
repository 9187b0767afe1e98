// Weights to NF4 and scales to 8 bits, bit for bit as formats/nf4.ts makes them: what opening a model in 4 bits takes its time for.
#include <algorithm>
#include "parts.hpp"
#include "quantise.hpp"
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr {
namespace {

constexpr float kSmallest = 1e-38f;  // bitsandbytes' floor for absmax: zeros stay zeros
constexpr int kZeroCode = 7;         // fills the half of the last byte that no weight is left for
constexpr int kBlock = 64, kNestedBlock = 256;

// the largest of the bits without a sign: floats are ordered as these are, infinity and NaN last
int largestBits(const float* x, int n) {
  int largest = 0;
  for (int i = 0; i < n; i++) {
    int bits;
    memcpy(&bits, x + i, 4);
    largest = std::max(largest, bits & 0x7fffffff);
  }
  return largest;
}

using vb = uint8_t __attribute__((vector_size(W)));

// codes of a block's weights, already scaled: the number of bounds below each
void codesOf(const float* x, const float* bounds, uint8_t* codes) {
  for (int i = 0; i < kBlock; i += W) {
    vf v = load(x + i);
    vi count = {};
    for (int b = 0; b < 15; b++) count -= (vi)(v > set1(bounds[b]));
    auto narrow = __builtin_convertvector(count, vb);
    memcpy(codes + i, &narrow, W);
  }
}

template <class T> float toF32(T x);
template <> float toF32(float x) { return x; }
template <> float toF32(bf16 x) {
  uint32_t bits = static_cast<uint32_t>(x) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// the first block that holds a value which is not finite, or −1
template <class T>
int64_t quantiseBlocks(const T* values, int64_t from, int64_t to, const float* bounds, uint8_t* packed, float* absmax) {
  alignas(64) float x[kBlock];
  uint8_t codes[kBlock];
  for (int64_t at = from; at < to; at += kBlock) {
    int n = static_cast<int>(std::min<int64_t>(kBlock, to - at));
    for (int i = 0; i < n; i++) x[i] = toF32(values[at + i]);
    int largest = largestBits(x, n);
    if (largest >= 0x7f800000) return at / kBlock;
    float most;
    memcpy(&most, &largest, 4);
    float divisor = std::max(most, kSmallest);
    absmax[at / kBlock] = n == kBlock ? most : divisor;
    float scale = 1.0f / divisor;
    for (int i = 0; i < n; i++) x[i] = n == kBlock ? x[i] * scale : x[i] / divisor;
    for (int i = n; i < kBlock; i++) x[i] = 0;
    codesOf(x, bounds, codes);
    if (n % 2) codes[n] = kZeroCode;
    for (int i = 0; i < n; i += 2) packed[(at + i) / 2] = static_cast<uint8_t>(codes[i] << 4 | codes[i + 1]);
  }
  return -1;
}

// how many of 255 ascending middles are less than x
SAQR_INLINE uint8_t below(const float* middles, float x) {
  int at = 0;
  for (int step = 128; step > 0; step /= 2) at += middles[at + step - 1] < x ? step : 0;
  return static_cast<uint8_t>(at);
}

}  // namespace

int64_t quantiseNf4(const void* values, bool isBf16, int64_t n, const float* bounds, uint8_t* packed, float* absmax, int threads) {
  int64_t bad[kMostParts];
  std::fill(bad, bad + kMostParts, -1);
  inParts(n, kBlock, threads, [&](int part, int64_t from, int64_t to) {
    bad[part] = isBf16 ? quantiseBlocks(static_cast<const bf16*>(values), from, to, bounds, packed, absmax)
                       : quantiseBlocks(static_cast<const float*>(values), from, to, bounds, packed, absmax);
  });
  for (int64_t found : bad) if (found >= 0) return found;
  return -1;
}

// x less `offset`, in blocks of 256 over their absmax, to the nearest of 256 values: `middles` lie between neighbours
void quantise8Bit(const float* values, float offset, int64_t n, const float* middles, uint8_t* codes, float* absmax, int threads) {
  inParts(n, kNestedBlock, threads, [&](int, int64_t from, int64_t to) {
    float x[kNestedBlock];
    for (int64_t at = from; at < to; at += kNestedBlock) {
      int count = static_cast<int>(std::min<int64_t>(kNestedBlock, to - at));
      float most = 0;
      for (int i = 0; i < count; i++) {
        x[i] = values[at + i] - offset;
        most = std::max(most, std::fabs(x[i]));
      }
      absmax[at / kNestedBlock] = most;
      float scale = most == 0 ? 0 : 1.0f / most;
      for (int i = 0; i < count; i++) codes[at + i] = below(middles, x[i] * scale);
    }
  });
}

}  // namespace saqr
