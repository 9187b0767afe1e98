// GGUF's blocks of 32 with one scale, bit for bit as ggml makes them.
#include <algorithm>
#include "ggml-parts.hpp"

namespace saqr {
namespace ggml {
namespace {

float largest(const float* x) {
  vf most = {};
  for (int i = 0; i < 32; i += W) most = max(abs(load(x + i)), most);
  return maxOf(most);
}

// the first of the largest, with its sign
float extreme(const float* x) {
  float most = largest(x);
  for (int i = 0; i < 32; i++) if (std::fabs(x[i]) == most) return x[i];
  return 0;
}

float inverse(float d) { return d ? 1.0f / d : 0.0f; }

// codes of 32 weights: trunc((x − low) · scale + shift), at most `most`
void codes32(const float* x, float low, float scale, float shift, int most, uint8_t* q) {
  alignas(64) int32_t wide[32];
  for (int i = 0; i < 32; i += W) {
    vi l = whole((load(x + i) - low) * scale + shift);
    store(wide + i, l > most ? set1(most) : l);
  }
  for (int i = 0; i < 32; i++) q[i] = static_cast<uint8_t>(wide[i]);
}

void nibbles(const uint8_t* q, uint8_t* out) {
  for (int j = 0; j < 16; j++) out[j] = (q[j] & 15) | (q[j + 16] & 15) << 4;
}
void fifthBits(const uint8_t* q, uint8_t* out) {
  uint32_t high = 0;
  for (int j = 0; j < 32; j++) high |= static_cast<uint32_t>(q[j] >> 4) << j;
  memcpy(out, &high, 4);
}

void q4_0(const float* x, uint8_t* out) {
  float d = extreme(x) / -8;
  uint8_t q[32];
  putHalf(out, d);
  codes32(x, 0, inverse(d), 8.5f, 15, q);
  nibbles(q, out + 2);
}

// the least of 32 weights and the step from it to their largest
struct Range {
  float least, step;
};
Range rangeOf(const float* x, int steps) {
  vf low = load(x), high = low;
  for (int i = W; i < 32; i += W) {
    low = min(load(x + i), low);
    high = max(load(x + i), high);
  }
  float least = -maxOf(-low);
  return {least, (maxOf(high) - least) / steps};
}

void q4_1(const float* x, uint8_t* out) {
  auto [least, d] = rangeOf(x, 15);
  uint8_t q[32];
  putHalf(out, d);
  putHalf(out + 2, least);
  codes32(x, least, inverse(d), 0.5f, 15, q);
  nibbles(q, out + 4);
}

void q5_0(const float* x, uint8_t* out) {
  float d = extreme(x) / -16;
  uint8_t q[32];
  putHalf(out, d);
  codes32(x, 0, inverse(d), 16.5f, 31, q);
  fifthBits(q, out + 2);
  nibbles(q, out + 6);
}

void q5_1(const float* x, uint8_t* out) {
  auto [least, d] = rangeOf(x, 31);
  uint8_t q[32];
  putHalf(out, d);
  putHalf(out + 2, least);
  codes32(x, least, inverse(d), 0.5f, 31, q);
  fifthBits(q, out + 4);
  nibbles(q, out + 8);
}

void q8_0(const float* x, uint8_t* out) {
  float d = largest(x) / 127, id = inverse(d);
  putHalf(out, d);
  alignas(64) int32_t wide[32];
  for (int i = 0; i < 32; i += W) {
    vf v = load(x + i) * id;
    vi down = whole(v);
    vf rest = v - floats(down);  // exact; halves go away from zero
    store(wide + i, down - (vi)(rest >= 0.5f) + (vi)(rest <= -0.5f));
  }
  for (int i = 0; i < 32; i++) out[2 + i] = static_cast<uint8_t>(wide[i]);
}

}  // namespace

const Type kBlocks32[5] = {
    {2, 32, 18, 1, [](const float* x, int, uint8_t* out) { q4_0(x, out); }},
    {3, 32, 20, 1, [](const float* x, int, uint8_t* out) { q4_1(x, out); }},
    {6, 32, 22, 1, [](const float* x, int, uint8_t* out) { q5_0(x, out); }},
    {7, 32, 24, 1, [](const float* x, int, uint8_t* out) { q5_1(x, out); }},
    {8, 32, 34, 1, [](const float* x, int, uint8_t* out) { q8_0(x, out); }},
};

}  // namespace ggml
}  // namespace saqr
