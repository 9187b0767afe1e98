// GEMV, and products of few rows, as in generation: bound by reading the weights, so a weight's row is read once, in order, and
// multiplied with every row of a. Lanes run along the reduction.
#include <algorithm>
#include <type_traits>
#include "gemv-blocks.hpp"
#include "gemv-nf4.hpp"

namespace saqr::gemm {

constexpr int kMostParts = 64;
constexpr int64_t kChunk = 1024;  // elements between two looks at the sums: decoded rows stay in the first cache

// a vector of the form's dtype of weights that are stored so, or in bf16
template <class E, class In>
SAQR_INLINE vf weights(const In* w) {
  if constexpr (sizeof(E) == sizeof(In)) return loadAs<vf>(w);
  else return loadBf16(w);
}
template <class E>
SAQR_INLINE vf multiplyAdd(vf w, vf x, vf sum) {
  if constexpr (sizeof(E) == 4) return fma(w, x, sum);
  else return dotBf16(sum, w, x);
}

// sum[r][m] += w[r] · x[m] over `count` elements, whole vectors. The next rows (`group` elements on) are fetched in the order in which
// they stand: the processor doesn't see by itself that several short streams are one long one.
template <class E, class In, int M>
static void dots(const In* const* w, const E* x, int64_t apart, int64_t count, int64_t group, vf* sums) {
  constexpr int R = rowsTogether(M), kStep = 4 * W / static_cast<int>(sizeof(E));
  vf sum[R][M];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sum[r][m] = sums[r * M + m];
  }
  for (int64_t k = 0; k < count; k += kStep) {
#pragma GCC unroll 4
    for (int from = 0; from < R * kStep; from += 64 / static_cast<int>(sizeof(In))) {
      const In* line = w[0] + group + R * k + from;
      __builtin_prefetch(line, 0, 3);
      if (M > 1) __builtin_prefetch(line + 7 * group, 0, 2);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
      const vf xs = loadAs<vf>(x + m * apart + k);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) sum[r][m] = multiplyAdd<E>(weights<E>(w[r] + k), xs, sum[r][m]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sums[r * M + m] = sum[r][m];
  }
}

template <class E, class In>
static auto dotsOf(int64_t m) {
  using Dots = void (*)(const In* const*, const E*, int64_t, int64_t, int64_t, vf*);
  static constexpr Dots table[] = {dots<E, In, 1>, dots<E, In, 2>, dots<E, In, 3>, dots<E, In, 4>, dots<E, In, 5>, dots<E, In, 6>, dots<E, In, 7>, dots<E, In, 8>};
  static_assert(kMostRows == 8);
  return table[m - 1];
}

// what a row of x takes beside a part of b
static int64_t rowSize(const Tensor& b, int64_t padded) {
  if (blockRowsOf(b.dtype)) return turnedSize(padded);
  return padded;
}

template <class E>
struct Gemv {
  static constexpr int64_t V = 4 * W / sizeof(E);  // elements of a vector
  static int64_t padded(int64_t n) { return (n + V - 1) / V * V; }
  const Problem& problem;
  const int64_t M = problem.M, R = rowsTogether(static_cast<int>(M));
  E* staging;         // R rows of a chunk
  E* x[kMostParts];  // the rows of a in the form's dtype, filled up with zeros
  const BlockRows* kinds[kMostParts];  // of b's parts, null where rows aren't multiplied as they lie
  int64_t rowBytes[kMostParts];        // of those that are

  Gemv(const Problem& problem, char* scratch) : problem(problem), staging(reinterpret_cast<E*>(scratch)) {
    E* at = staging + 4 * (kChunk + V);
    for (int p = 0; p < problem.parts; p++) {
      const int64_t K = problem.a.depth(p);
      const Tensor& t = problem.b.part(p);
      kinds[p] = std::is_same_v<E, BlockX> ? blockRowsOf(t.dtype) : nullptr;
      if (kinds[p]) rowBytes[p] = t.stride / kinds[p]->weights * kinds[p]->bytes;
      x[p] = at;
      for (int64_t m = 0; m < M; m++, at += apart(p)) {
        if constexpr (std::is_same_v<E, BlockX>) {
          if (kinds[p]) {
            E* row = at + apart(p);  // where the next one goes, or what is kept free behind the last
            decode(problem.a.part(p), m, 0, K, row, false);
            kinds[p]->turned(row, K, at);
            continue;
          }
        }
        decode(problem.a.part(p), m, 0, K, at, false);
        std::fill(at + K, at + padded(K), E{});
      }
    }
  }

  // elements between two rows of x[p]
  int64_t apart(int p) const { return rowSize(problem.b.part(p), padded(problem.a.depth(p))); }

  // sums[r][m] of R columns from n on; past `last` that one again
  void columns(int64_t n, int64_t last, vf* sums) const {
    for (int p = 0; p < problem.parts; p++) {
      const Tensor& t = problem.b.part(p);
      if constexpr (std::is_same_v<E, BlockX>) {
        if (kinds[p]) {
          const uint8_t* w[4];
          for (int64_t r = 0; r < R; r++) w[r] = static_cast<const uint8_t*>(t.data) + std::min(n + r, last) * rowBytes[p];
          kinds[p]->dots[M - 1](w, x[p], apart(p), t.cols, sums);
          continue;
        }
      }
#if SAQR_NF4_PLANES
      if constexpr (sizeof(E) == 4) {
        if (inUsualBlocks(t)) {
          int64_t rows[4];
          for (int64_t r = 0; r < R; r++) rows[r] = std::min(n + r, last);
          (problem.rounded(p) ? nf4DotsOf<true>(M) : nf4DotsOf<false>(M))(t, rows, x[p], apart(p), sums);
          continue;
        }
      }
#endif
      if (sizeof(E) == 4 && t.dtype == DType::bf16) stored<bf16>(t, p, n, last, sums);
      else stored<E>(t, p, n, last, sums);
    }
  }

  // of a part whose rows are read where they lie if they are of In, whole vectors at a time, else decoded
  template <class In>
  void stored(const Tensor& t, int p, int64_t n, int64_t last, vf* sums) const {
    const bool rounded = problem.rounded(p), own = sizeof(In) != sizeof(E) || isOwn<E>(t, rounded);
    for (int64_t k = 0, count; k < t.cols; k += count) {
      count = std::min(kChunk, t.cols - k);
      if (own && count > V) count -= count % V;
      auto rowOf = [&](int64_t r) { return std::min(n + r, last); };
      if (own && count % V == 0) {
        const In* w[4];
        for (int64_t r = 0; r < R; r++) w[r] = static_cast<const In*>(t.data) + rowOf(r) * t.stride + k;
        dotsOf<E, In>(M)(w, x[p] + k, apart(p), count, R * t.stride, sums);
        continue;
      }
      const E* w[4];
      for (int64_t r = 0; r < R; r++) {
        E* to = staging + r * (kChunk + V);
        w[r] = to;
        decode(t, rowOf(r), k, count, to, rounded);
        std::fill(to + count, to + padded(count), E{});
      }
      dotsOf<E, E>(M)(w, x[p] + k, apart(p), padded(count), 0, sums);
    }
  }

  void multiply(Worker& worker) const {
    alignas(64) float c[kMostRows * kWide], bias[kWide];
    const Range share = saqr::share(worker, problem.N, kWide);
    for (int64_t n0 = share.from; n0 < share.to && !worker.aborted(); n0 += kWide) {
      const int64_t wide = std::min<int64_t>(kWide, share.to - n0);
      for (int64_t j = 0; j < wide; j += R) {
        vf sums[16];
        std::fill_n(sums, R * M, vf{});
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

bool quickInBlocks(DType dtype) {
  const BlockRows* kind = blockRowsOf(dtype);
  return kind && kind->quick;
}

bool fitsGemv(const Problem& problem) {
  if (problem.M > kMostRows || problem.a.transposed || problem.b.transposed || problem.parts > kMostParts) return false;
  int64_t elements = 4 * (kChunk + 2 * W), most = 0;
  for (int p = 0; p < problem.parts; p++) {
    const int64_t row = rowSize(problem.b.part(p), problem.a.depth(p) + 2 * W);
    elements += problem.M * row, most = std::max(most, row);
  }
  elements += most;
  return elements * 4 <= static_cast<int64_t>(kScratchBytes);
}

void multiplyGemv(const Problem& problem, Worker& worker) {
  bool lie = false;  // blocks whose values are exact
  for (int p = 0; p < problem.parts; p++) lie = lie || (kExactInBlocks && blockRowsOf(problem.b.part(p).dtype));
  if (problem.form() == Form::bf16 && !lie) Gemv<bf16>(problem, worker.scratch).multiply(worker);
  else Gemv<float>(problem, worker.scratch).multiply(worker);
}

}  // namespace saqr::gemm
