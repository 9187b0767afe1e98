// The innermost loops: a tile of c held in registers. A unit is 32 bits of the reduction: one f32, or a pair of bf16.
#pragma once
#include "gemm-decode.hpp"

namespace saqr::gemm {

#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int kTall = 6;   // of 16 registers: 12 sums, 2 columns' values, one of a row
constexpr int kDirect = 6;
#else
constexpr int kTall = 14;  // of 32 registers
constexpr int kDirect = 8; // rows a power of two apart fall on one set of the cache: no more than its ways
#endif
constexpr int kWide = 2 * W;
constexpr int kTallStep = (kTall + W - 1) / W * W;

// Where a whole tile goes when its sums are complete: y = alpha · sum + bias + addend, y and addend in the form's own dtype
struct Result {
  void* y;
  const void* addend;  // or null
  int64_t stride, addendStride;
  const float* bias;
  float alpha;
  bool past;  // written past the caches; y is aligned to 64 bytes then
};
// c (rows, vectors · W) = or += a · bᵀ; a is laid out [units][kTallStep], b [units][vectors · W]. With `to` the sums go there, not to c.
using TileKernel = void (*)(int64_t units, const float* a, const float* b, float* c, int64_t stride, bool add, const Result* to);
TileKernel tileKernel(Form form, int rows, int vectors);  // 1 <= rows <= kTall, vectors 1 or 2

// The same with rows of a where they lie, in the form's dtype; b is laid out part after part, each with whole units
struct Rows {
  const void* data;
  int64_t stride, count;  // elements between rows, elements of the reduction
};
using DirectKernel = void (*)(const Rows* parts, int count, const float* b, float* c, int64_t stride);
DirectKernel directKernel(Form form, int rows, int vectors);  // 1 <= rows <= kDirect

inline int64_t unitsOf(Form form, int64_t elements) { return form == Form::bf16 ? (elements + 1) / 2 : elements; }

}  // namespace saqr::gemm
