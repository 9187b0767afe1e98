// GEMV, and products of few rows, as in generation: bound by reading the weights, so a weight's row is read once, in order, and
// multiplied with every row of a. Lanes run along the reduction.
#include <algorithm>
#include "gemm-pack.hpp"
#include "ggml-codes.hpp"

namespace saqr::gemm {

constexpr int kMostRows = 8, kMostParts = 64;
constexpr int64_t kChunk = 1024;  // elements between two looks at the sums: decoded rows stay in the first cache
constexpr int rowsTogether(int m) { return m <= 4 ? 4 : 2; }  // of b: up to 16 sums

template <class E>
SAQR_INLINE vf multiplyAdd(vf w, vf x, vf sum) {
  if constexpr (sizeof(E) == 4) return fma(w, x, sum);
  else return dotBf16(sum, w, x);
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
      for (int r = 0; r < R; r++) sum[r][m] = multiplyAdd<E>(loadAs<vf>(w[r] + k), xs, sum[r][m]);
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
  static_assert(kMostRows == 8);
  return table[m - 1];
}

// The same of rows in GGUF's blocks, whose values go from where they are made into the sums, in the order that they have decoded.
#if SAQR_LOOKUP
constexpr int64_t kAhead = 4096;  // bytes
template <class Kind, int M>
static void blockDots(const uint8_t* const* w, const bf16* x, int64_t apart, int64_t count, vf* sums) {
  constexpr int R = rowsTogether(M), kParts = Kind::kWeights / 32, kStep = R * Kind::kBytes / kParts;
  // the rows that come some kilobytes on, in the order in which they stand
  const int64_t group = R * (count / Kind::kWeights) * Kind::kBytes;
  const uint8_t* ahead = w[0] + (kAhead + group - 1) / group * group;
  vf sum[R][M];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sum[r][m] = sums[r * M + m];
  }
  int64_t at = 0;
  for (int64_t k = 0, j = 0; k < count; k += 32) {
    for (int line = 0; line < kStep; line += 64) __builtin_prefetch(ahead + line, 0, 3);
    ahead += kStep;
    vf xs[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) xs[m] = loadAs<vf>(x + m * apart + k);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const vf v = Kind::bf16s(w[r] + at, static_cast<int>(j));
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) sum[r][m] = dotBf16(sum[r][m], v, xs[m]);
    }
    if (++j == kParts) j = 0, at += Kind::kBytes;
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sums[r * M + m] = sum[r][m];
  }
}

struct BlockRows {
  int weights, bytes;
  void (*dots[kMostRows])(const uint8_t* const*, const bf16*, int64_t, int64_t, vf*);
};
template <class K>
static constexpr BlockRows blockRows() {
  return {K::kWeights, K::kBytes, {blockDots<K, 1>, blockDots<K, 2>, blockDots<K, 3>, blockDots<K, 4>, blockDots<K, 5>, blockDots<K, 6>, blockDots<K, 7>, blockDots<K, 8>}};
}
// in the order of their dtypes
static constexpr BlockRows kBlockRows[] = {blockRows<ggml::Q4_0>(), blockRows<ggml::Q4_1>(), blockRows<ggml::Q5_0>(), blockRows<ggml::Q5_1>(),
                                           blockRows<ggml::Q8_0>(), blockRows<ggml::Q4_K>(), blockRows<ggml::Q5_K>(), blockRows<ggml::Q6_K>()};
#endif

template <class E>
struct Gemv {
  static constexpr int64_t V = 4 * W / sizeof(E);  // elements of a vector
  static int64_t padded(int64_t n) { return (n + V - 1) / V * V; }
  const Problem& problem;
  const int64_t M = problem.M, R = rowsTogether(static_cast<int>(M));
  E* staging;         // R rows of a chunk
  E* x[kMostParts];  // the rows of a in the form's dtype, filled up with zeros

  Gemv(const Problem& problem, char* scratch) : problem(problem), staging(reinterpret_cast<E*>(scratch)) {
    E* at = staging + 4 * (kChunk + V);
    for (int p = 0; p < problem.parts; p++) {
      const int64_t K = problem.a.depth(p);
      x[p] = at;
      for (int64_t m = 0; m < M; m++, at += padded(K)) {
        decode(problem.a.part(p), m, 0, K, at, false);
        std::fill(at + K, at + padded(K), E{});
      }
    }
  }

  // sums[r][m] of R columns from n on; past `last` that one again
  void columns(int64_t n, int64_t last, vf* sums) const {
    const auto run = dotsOf<E>(M);
    for (int p = 0; p < problem.parts; p++) {
      const Tensor& t = problem.b.part(p);
#if SAQR_LOOKUP
      if constexpr (sizeof(E) == 2) {
        if (inBlocks(t)) {
          const BlockRows& kind = kBlockRows[static_cast<int>(t.dtype) - static_cast<int>(DType::q4_0)];
          const uint8_t* w[4];
          for (int64_t r = 0; r < R; r++) w[r] = static_cast<const uint8_t*>(t.data) + std::min(n + r, last) * (t.stride / kind.weights) * kind.bytes;
          kind.dots[M - 1](w, x[p], padded(t.cols), t.cols, sums);
          continue;
        }
      }
#endif
      const bool rounded = problem.rounded(p), own = isOwn<E>(t, rounded);
      for (int64_t k = 0, count; k < t.cols; k += count) {
        count = std::min(kChunk, t.cols - k);
        if (own && count > V) count -= count % V;  // whole vectors are read where they lie
        const bool inPlace = own && count % V == 0;
        const E* w[4];
        for (int64_t r = 0; r < R; r++) {
          const int64_t row = std::min(n + r, last);
          E* to = staging + r * (kChunk + V);
          w[r] = inPlace ? static_cast<const E*>(t.data) + row * t.stride + k : to;
          if (inPlace) continue;
          decode(t, row, k, count, to, rounded);
          std::fill(to + count, to + padded(count), E{});
        }
        run(w, x[p] + k, padded(t.cols), padded(count), inPlace ? R * t.stride : 0, sums);
      }
    }
  }

  void multiply(Worker& worker) const {
    alignas(64) float c[kMostRows * kWide], bias[kWide];
    const Range share = saqr::share(worker, problem.N, kWide);
    for (int64_t n0 = share.from; n0 < share.to && !worker.aborted(); n0 += kWide) {
      const int64_t wide = std::min<int64_t>(kWide, share.to - n0);
      for (int64_t j = 0; j < wide; j += R) {
        vf sums[16] = {};
        columns(n0 + j, n0 + wide - 1, sums);
        for (int64_t r = 0; r < R && j + r < wide; r++) {
          for (int64_t m = 0; m < M; m++) c[m * kWide + j + r] = sum(sums[r * M + m]);
        }
      }
      loadBias(problem.epilogue, n0, wide, bias);
      applyEpilogue(problem.epilogue, 0, n0, M, wide, c, kWide, bias);
    }
  }
};

bool fitsGemv(const Problem& problem) {
  if (problem.M > kMostRows || problem.a.transposed || problem.b.transposed || problem.parts > kMostParts) return false;
  int64_t elements = 4 * (kChunk + 2 * W);
  for (int p = 0; p < problem.parts; p++) elements += problem.M * (problem.a.depth(p) + 2 * W);
  return elements * 4 <= static_cast<int64_t>(kScratchBytes);
}

void multiplyGemv(const Problem& problem, Worker& worker) {
  if (problem.form() == Form::bf16) Gemv<bf16>(problem, worker.scratch).multiply(worker);
  else Gemv<float>(problem, worker.scratch).multiply(worker);
}

}  // namespace saqr::gemm
