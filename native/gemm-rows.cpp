// Products of few rows, as in generation: bound by reading the weights, so a weight's row is read once, in order, and multiplied with
// every row of a. Lanes run along the reduction.
#include <algorithm>
#include <utility>
#include "gemm-pack.hpp"

namespace saqr::gemm {

constexpr int kFewRows = 8;
constexpr int64_t kChunk = 1024;        // elements between two looks at the sums: decoded rows stay in the first cache
constexpr int64_t kRoom = 4 << 20;      // bytes for the rows of a
constexpr int rowsTogether(int m) { return m <= 4 ? 4 : 2; }  // of b: up to 16 sums

SAQR_INLINE vf multiplyAdd(const float* w, vf x, vf sum) { return fma(load(w), x, sum); }
SAQR_INLINE vf multiplyAdd(const bf16* w, vf x, vf sum) {
#if defined(__AVX512BF16__)
  return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_loadu_si512(w), (__m512bh)x);
#else
  return (void)w, (void)x, sum;  // Form::bf16 doesn't occur
#endif
}

// sum[r][m] += w[r] · x[m] over `count` elements, whole vectors. The next rows (`group` elements on) are fetched in the order in which
// they stand: the processor doesn't see by itself that several short streams are one long one.
template <class E, int M>
static void dots(const E* const* w, const E* x, int64_t apart, int64_t count, int64_t group, vf* sums) {
  constexpr int R = rowsTogether(M);
  vf sum[R][M];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sum[r][m] = sums[r * M + m];
  }
  for (int64_t k = 0; k < count; k += 4 * W / static_cast<int>(sizeof(E))) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const E* line = w[0] + group + R * k + r * (64 / static_cast<int>(sizeof(E)));
      __builtin_prefetch(line, 0, 3);
      if (M > 1) __builtin_prefetch(line + 7 * group, 0, 2);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
      const vf xs = loadAs<vf>(x + m * apart + k);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) sum[r][m] = multiplyAdd(w[r] + k, xs, sum[r][m]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sums[r * M + m] = sum[r][m];
  }
}

template <class E>
static auto dotsOf(int64_t m) {
  using Dots = void (*)(const E* const*, const E*, int64_t, int64_t, int64_t, vf*);
  static constexpr Dots table[] = {dots<E, 1>, dots<E, 2>, dots<E, 3>, dots<E, 4>, dots<E, 5>, dots<E, 6>, dots<E, 7>, dots<E, 8>};
  static_assert(kFewRows == 8);
  return table[m - 1];
}

template <class E>
static void fewRows(const Problem& problem, Worker& worker) {
  constexpr int64_t V = 4 * W / sizeof(E);  // elements of a vector
  const int64_t M = problem.M, R = rowsTogether(static_cast<int>(M));
  auto padded = [](int64_t n) { return (n + V - 1) / V * V; };

  // the rows of a in the form's dtype, part after part, filled up with zeros
  char* at = worker.scratch + 256 * 1024;
  auto take = [&](int64_t elements) { return reinterpret_cast<E*>(std::exchange(at, at + elements * static_cast<int64_t>(sizeof(E)))); };
  constexpr int kMaxParts = 64;
  E* xs[kMaxParts];
  for (int p = 0; p < problem.parts; p++) {
    const int64_t K = problem.a.depth(p);
    xs[p] = take(M * padded(K));
    for (int64_t m = 0; m < M; m++) {
      E* x = xs[p] + m * padded(K);
      decode(problem.a.part(p), m, 0, K, x, false);
      std::fill(x + K, x + padded(K), E{});
    }
  }

  E* staging = reinterpret_cast<E*>(worker.scratch);  // R rows of a chunk
  const auto run = dotsOf<E>(M);
  alignas(64) float c[kFewRows * kWide], bias[kWide];
  const Range columns = share(worker, problem.N, kWide);
  for (int64_t n0 = columns.from; n0 < columns.to; n0 += kWide) {
    if (worker.aborted()) return;
    const int64_t wide = std::min<int64_t>(kWide, columns.to - n0);
    for (int64_t j = 0; j < wide; j += R) {
      vf sums[16] = {};
      for (int p = 0; p < problem.parts; p++) {
        const Tensor& t = problem.b.part(p);
        const int64_t K = t.cols;
        const bool rounded = problem.rounded(p), own = isOwn<E>(t, rounded);
        for (int64_t k = 0; k < K;) {
          int64_t count = std::min(kChunk, K - k);
          if (own && count > V) count -= count % V;
          const E* w[4];
          for (int64_t r = 0; r < R; r++) {
            const int64_t row = n0 + std::min(j + r, wide - 1);  // past the last: that one again, its sums are dropped
            w[r] = staging + r * (kChunk + V);
            if (own && count % V == 0) {
              w[r] = static_cast<const E*>(t.data) + row * t.stride + k;
            } else {
              E* to = staging + r * (kChunk + V);
              decode(t, row, k, count, to, rounded);
              std::fill(to + count, to + padded(count), E{});
            }
          }
          run(w, xs[p] + k, padded(K), padded(count), own ? R * t.stride : 0, sums);
          k += count;
        }
      }
      for (int64_t r = 0; r < R && j + r < wide; r++) {
        for (int64_t m = 0; m < M; m++) c[m * kWide + j + r] = sum(sums[r * M + m]);
      }
    }
    loadBias(problem.finish, n0, wide, bias);
    finish(problem.finish, 0, n0, M, wide, c, kWide, bias);
  }
}

bool fitsFewRows(const Problem& problem) {
  if (problem.M > kFewRows || problem.a.down || problem.b.down || problem.parts > 64) return false;
  int64_t elements = 0;
  for (int p = 0; p < problem.parts; p++) elements += problem.M * (problem.a.depth(p) + 2 * W);
  return elements * 4 <= kRoom;
}

void multiplyFewRows(const Problem& problem, Worker& worker) {
  if (problem.form() == Form::bf16) fewRows<bf16>(problem, worker);
  else fewRows<float>(problem, worker);
}

}  // namespace saqr::gemm
