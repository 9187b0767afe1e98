// The innermost loop of products by tiles: c (32, 32) in four tiles, two of a, two of b in each step of the reduction.
#pragma once
#include <utility>
#include "gemm-pack.hpp"
#include "tiles.hpp"
#include "transpose.hpp"

#if SAQR_TILES
namespace saqr::gemm {

using tiles::kUnits;
constexpr int64_t kStepBytes = 64, kHigh = 2 * tiles::kRows;  // of a row in one step of 16 units; rows of a panel of a
constexpr int64_t kStep = kHigh * kStepBytes;                 // bytes of a panel, of a or b, in one step
static_assert(kWide == kHigh);

// Some steps of the reduction for the rows of one panel: where their first is, bytes between rows and between steps
struct Run {
  const char* a;
  int64_t stride, step, count;
};

// What the caches are asked for meanwhile: a tile's rows are too many places for the processor to foresee. Near: three steps ahead of
// what is multiplied, where it lies step after step. Far: what comes after, `lines` in each step.
struct Ahead {
  bool a = false, b = false;
  const char* far = nullptr;
  int64_t lines = 0;
};
constexpr int64_t kNear = 3 * kStep;
SAQR_INLINE void fetch16(const char* at) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) __builtin_prefetch(at + 64 * i, 0, 3);
}

// Rows of y whose sums are complete. They are written a few at a time between the steps of the next panel: tiles wait for no vector then.
// `turned`: c's columns are y's rows.
class Finished {
 public:
  void begin(const Epilogue& f, bool turned, int64_t m, int64_t n, int64_t rows, int64_t cols, float* c, const float* bias) {
    if (turned) turn(c), std::swap(m, n), std::swap(rows, cols);
    f_ = &f, m_ = m, n_ = n, left_ = rows, cols_ = cols, c_ = c, bias_ = bias;
  }
  SAQR_INLINE void write(int64_t rows) {
    if (left_ > 0) some(rows);
  }
  void all() { write(left_); }

 private:
  const Epilogue* f_ = nullptr;
  int64_t m_ = 0, n_ = 0, left_ = 0, cols_ = 0;
  const float *c_ = nullptr, *bias_ = nullptr;
  __attribute__((noinline)) void some(int64_t rows) {
    rows = std::min(rows, left_);
    applyEpilogue(*f_, m_, n_, rows, cols_, c_, kWide, bias_);
    m_ += rows, left_ -= rows, c_ += rows * kWide;
  }
  static void turn(float* c) {
    vf upper[W], lower[W];
    auto quarter = [&](int i, int j) { return c + 16 * (i * kWide + j); };
    for (int i = 0; i < 2; i++) {
      for (int j = 0; j <= i; j++) {
        for (int r = 0; r < W; r++) upper[r] = load(quarter(j, i) + r * kWide), lower[r] = load(quarter(i, j) + r * kWide);
        transpose(upper), transpose(lower);
        for (int r = 0; r < W; r++) store(quarter(i, j) + r * kWide, upper[r]), store(quarter(j, i) + r * kWide, lower[r]);
      }
    }
  }
};

// c (16 · A, 16 · B; rows kWide apart) = or += a · b over all runs; b is laid out [units][16 · B]
template <int A, int B>
void multiplyPanel(const Run* runs, int64_t count, const char* b, float* c, bool add, const Ahead& ahead, Finished& finished, int64_t rowsAStep) {
  constexpr int64_t across = 64 * B, apart = kWide * 4;
  char *c0 = reinterpret_cast<char*>(c), *c1 = c0 + 16 * apart;
  const char* far = ahead.far;
  const int64_t lines = ahead.lines;
  const bool nearA = ahead.a, nearB = ahead.b;
  asm volatile("" ::: "memory");  // the compiler doesn't know that tiles read memory
  if (add) {
    _tile_loadd(0, c0, apart);
    if constexpr (B == 2) _tile_loadd(1, c0 + 64, apart);
    if constexpr (A == 2) _tile_loadd(2, c1, apart);
    if constexpr (A == 2 && B == 2) _tile_loadd(3, c1 + 64, apart);
  } else {
    _tile_zero(0);
    if constexpr (B == 2) _tile_zero(1);
    if constexpr (A == 2) _tile_zero(2);
    if constexpr (A == 2 && B == 2) _tile_zero(3);
  }
  for (const Run* run = runs; run < runs + count; run++) {
    const char* a = run->a;
    for (int64_t s = 0; s < run->count; s++, a += run->step, b += kUnits * across) {
      _tile_loadd(6, b, across);
      _tile_loadd(4, a, run->stride);
      _tile_dpbf16ps(0, 4, 6);
      if (nearA) fetch16(a + kNear);
      if constexpr (B == 2) {
        _tile_loadd(7, b + 64, across);
        _tile_dpbf16ps(1, 4, 7);
      }
      if (nearA) fetch16(a + kNear + kStep / 2);
      if constexpr (A == 2) {
        _tile_loadd(5, a + 16 * run->stride, run->stride);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (B == 2) _tile_dpbf16ps(3, 5, 7);
      }
      if (nearB) fetch16(b + kNear), fetch16(b + kNear + kStep / 2);
      for (int64_t l = 0; l < lines; l++, far += 64) __builtin_prefetch(far, 0, 2);
      finished.write(rowsAStep);
    }
  }
  finished.all();
  _tile_stored(0, c0, apart);
  if constexpr (B == 2) _tile_stored(1, c0 + 64, apart);
  if constexpr (A == 2) _tile_stored(2, c1, apart);
  if constexpr (A == 2 && B == 2) _tile_stored(3, c1 + 64, apart);
}
using PanelKernel = void (*)(const Run*, int64_t, const char*, float*, bool, const Ahead&, Finished&, int64_t);
inline PanelKernel panelKernel(int64_t rows, int64_t vectors) {
  if (rows <= 16) return vectors == 1 ? multiplyPanel<1, 1> : multiplyPanel<1, 2>;
  return vectors == 1 ? multiplyPanel<2, 1> : multiplyPanel<2, 2>;
}

}  // namespace saqr::gemm
#endif
