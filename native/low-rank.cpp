// A low-rank part written into a weight, bit for bit as adapters/low-rank.ts defines it (compiled without contraction): what merging takes its
// time for. Rows of a tile share what is read of a; sums of a column are in the order of the rank, whatever the tile.
#include "low-rank.hpp"
#include <algorithm>
#include "parts.hpp"
#include "simd.hpp"

namespace saqr {
namespace {

constexpr int kLanes = W / 2;  // f64
constexpr int kRows = 4, kVectors = 2;
using vd = double __attribute__((vector_size(W * 4)));
using vs = float __attribute__((vector_size(W * 2)));

SAQR_INLINE vd widen(const float* p) { return __builtin_convertvector(loadAs<vs>(p), vd); }

struct Parts {
  const float* b;
  const float* a;
  double scale;
  int64_t cols, rank;
};

// N rows from w and b, columns [at, at + kVectors · kLanes)
template <int N>
SAQR_INLINE void tile(float* w, const Parts& p, const float* b, int64_t at) {
  vd delta[N][kVectors] = {};
  for (int64_t i = 0; i < p.rank; i++) {
    const float* a = p.a + i * p.cols + at;
    vd x[kVectors];
    for (int v = 0; v < kVectors; v++) x[v] = widen(a + v * kLanes);
    for (int n = 0; n < N; n++) {
      double factor = static_cast<double>(b[n * p.rank + i]) * p.scale;
      for (int v = 0; v < kVectors; v++) delta[n][v] += factor * x[v];
    }
  }
  for (int n = 0; n < N; n++)
    for (int v = 0; v < kVectors; v++) {
      float* to = w + n * p.cols + at + v * kLanes;
      auto sum = __builtin_convertvector(widen(to) + delta[n][v], vs);
      memcpy(to, &sum, sizeof sum);
    }
}

// the columns that are left, one by one
void rest(float* w, const Parts& p, const float* b, int64_t at) {
  for (; at < p.cols; at++) {
    double delta = 0;
    for (int64_t i = 0; i < p.rank; i++) delta += static_cast<double>(b[i]) * p.scale * p.a[i * p.cols + at];
    w[at] = static_cast<float>(w[at] + delta);
  }
}

template <int N>
void rowsOf(float* w, const Parts& p, const float* b) {
  int64_t at = 0;
  for (; at + kVectors * kLanes <= p.cols; at += kVectors * kLanes) tile<N>(w, p, b, at);
  for (int n = 0; n < N; n++) rest(w + n * p.cols, p, b + n * p.rank, at);
}

}  // namespace

void addLowRank(float* w, const float* b, const float* a, double scale, int64_t rows, int64_t cols, int64_t rank, int threads) {
  Parts p{b, a, scale, cols, rank};
  inParts(rows * cols, cols, threads, [&](int, int64_t from, int64_t to) {
    int64_t row = from / cols, end = to / cols;
    for (; row + kRows <= end; row += kRows) rowsOf<kRows>(w + row * cols, p, b + row * rank);
    for (; row < end; row++) rowsOf<1>(w + row * cols, p, b + row * rank);
  });
}

}  // namespace saqr
