// A low-rank part written into a weight, bit for bit as adapters/low-rank.ts defines it (compiled without contraction): what merging takes its
// time for. Rows of a tile share what is read of a; sums of a column are in the order of the rank, whatever the tile.
#include "low-rank.hpp"
#include <algorithm>
#include <cstring>
#include "list.hpp"
#include "parts.hpp"
#include "simd.hpp"

namespace saqr {
namespace {

constexpr int kLanes = W / 2;  // f64
constexpr int kRows = 4, kVectors = 2;
using vd = double __attribute__((vector_size(W * 4)));
using vs = float __attribute__((vector_size(W * 2)));

SAQR_INLINE vd widen(const float* p) { return __builtin_convertvector(loadAs<vs>(p), vd); }

constexpr int kWidth = kVectors * kLanes;

struct Parts {
  const float* a;
  const float* panels;  // of each kWidth columns of a their rows, one below the other: in the file's order they would meet in one set of the caches
  int64_t cols, rank;
};

void pack(const float* a, int64_t cols, int64_t rank, float* panels) {
  for (int64_t at = 0; at + kWidth <= cols; at += kWidth)
    for (int64_t i = 0; i < rank; i++, panels += kWidth) memcpy(panels, a + i * cols + at, kWidth * sizeof(float));
}

// N rows from w, factors (rank, N), columns [at, at + kWidth)
template <int N>
SAQR_INLINE void tile(float* w, const Parts& p, const double* factors, int64_t at) {
  vd delta[N][kVectors] = {};
  for (int64_t i = 0; i < p.rank; i++) {
    const float* a = p.panels + at * p.rank + i * kWidth;
    vd x[kVectors];
    for (int v = 0; v < kVectors; v++) x[v] = widen(a + v * kLanes);
    for (int n = 0; n < N; n++)
      for (int v = 0; v < kVectors; v++) delta[n][v] += factors[i * N + n] * x[v];
  }
  for (int n = 0; n < N; n++)
    for (int v = 0; v < kVectors; v++) {
      float* to = w + n * p.cols + at + v * kLanes;
      auto sum = __builtin_convertvector(widen(to) + delta[n][v], vs);
      memcpy(to, &sum, sizeof sum);
    }
}

template <int N>
void rowsOf(float* w, const Parts& p, const float* b, double scale, double* factors) {
  for (int64_t i = 0; i < p.rank; i++)
    for (int n = 0; n < N; n++) factors[i * N + n] = static_cast<double>(b[n * p.rank + i]) * scale;
  int64_t at = 0;
  for (; at + kWidth <= p.cols; at += kWidth) tile<N>(w, p, factors, at);
  for (; at < p.cols; at++) {  // the columns that are left, one by one
    for (int n = 0; n < N; n++) {
      double delta = 0;
      for (int64_t i = 0; i < p.rank; i++) delta += factors[i * N + n] * p.a[i * p.cols + at];
      w[n * p.cols + at] = static_cast<float>(w[n * p.cols + at] + delta);
    }
  }
}

}  // namespace

void addLowRank(float* w, const float* b, const float* a, double scale, int64_t rows, int64_t cols, int64_t rank, int threads) {
  List<float> panels(cols / kWidth * kWidth * rank);
  pack(a, cols, rank, panels.data());
  const Parts p{a, panels.data(), cols, rank};
  inParts(rows * cols, cols, threads, [&](int, int64_t from, int64_t to) {
    int64_t row = from / cols, end = to / cols;
    List<double> factors(kRows * rank);
    for (; row + kRows <= end; row += kRows) rowsOf<kRows>(w + row * cols, p, b + row * rank, scale, factors.data());
    for (; row < end; row++) rowsOf<1>(w + row * cols, p, b + row * rank, scale, factors.data());
  });
}

}  // namespace saqr
