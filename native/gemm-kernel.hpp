// The innermost loops: a tile of c held in registers. A unit is 32 bits of the reduction: one f32, or a pair of bf16.
#pragma once
#include "gemm-decode.hpp"

namespace saqr::gemm {

#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr int kTall = 6;  // of 16 registers: 12 sums, 2 columns' values, one of a row
constexpr int kDirect = 6;
constexpr int kOuter = 8;
#else
constexpr int kTall = W == 4 ? 12 : 14;  // of 32 registers; arm64 multiplies by a lane of a register, so that it has rows in some too
constexpr int kDirect = 8;  // rows a power of two apart fall on one set of the cache: no more than its ways
constexpr int kOuter = 16;
#endif
constexpr int kWide = 2 * W;
constexpr int kTallStep = (kTall + W - 1) / W * W;

// Fetches a rectangle of memory ahead of its use, line by line in the order in which it stands (other orders are much slower).
class Fetch {
 public:
  Fetch() = default;
  Fetch(const void* data, int64_t strideBytes, int64_t rows, int64_t rowBytes)
      : row_(static_cast<const char*>(data)), stride_(strideBytes), rows_(rows), bytes_(rowBytes) {}
  int64_t lines() const { return rows_ * (bytes_ / 64 + 1); }
  SAQR_INLINE void next(int64_t count) {
    for (; count > 0 && rows_ > 0; count--) {
      __builtin_prefetch(row_ + at_, 0, 2);
      if ((at_ += 64) >= bytes_) at_ = 0, row_ += stride_, rows_--;
    }
  }

 private:
  const char* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, bytes_ = 0, at_ = 0;
};

// Where a whole tile goes when its sums are complete: y = alpha · sum + bias + addend, y and addend in the form's own dtype
struct Result {
  void* y;
  const void* addend;  // or null
  int64_t stride, addendStride;
  const float* bias;
  float alpha;
  bool streaming;  // streaming stores: past the caches; y is aligned to 64 bytes then
};
// What is brought nearer, a line with each unit
struct Nearer {
  const char* at;
  int64_t step;  // bytes, 0: nothing more
};
// c (rows, vectors · W) = or += a · bᵀ; a is laid out [units][kTallStep], b [units][vectors · W]. With `to` the sums go there, not to c.
using TileKernel = void (*)(int64_t units, const float* a, const float* b, float* c, int64_t stride, bool add, const Result* to, Nearer ahead);
TileKernel tileKernel(Form form, int rows, int vectors);  // 1 <= rows <= kTall, vectors 1 or 2

// The same with rows of a where they lie, in the form's dtype; b is laid out part after part, each with whole units
struct Rows {
  const void* data;
  int64_t stride, count;  // elements between rows, elements of the reduction
};
using DirectKernel = void (*)(const Rows* parts, int count, const float* b, float* c, int64_t stride);
DirectKernel directKernel(Form form, int rows, int vectors);  // 1 <= rows <= kDirect

// c (rows, W) = or += aᵀ · b of operands whose reduction runs down their rows: a laid out [units][aStep], b where it lies. Each unit
// brings a line of `ahead` nearer.
using OuterKernel = void (*)(const float* a, int64_t aStep, const void* b, int64_t bStride, int64_t depth, float* c, int64_t stride, bool add,
                             Fetch& ahead);
OuterKernel outerKernel(Form form, int rows);  // 1 <= rows <= kOuter

inline int64_t unitsOf(Form form, int64_t elements) { return form == Form::bf16 ? (elements + 1) / 2 : elements; }

}  // namespace saqr::gemm
