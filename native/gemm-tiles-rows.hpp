// Rows of a for products by tiles: laid out step by step, [steps][32 rows][64 bytes], or as they lie in the tensor.
#pragma once
#include "gemm-split.hpp"
#include "gemm-tiles-panel.hpp"
#include "gemm-units.hpp"

#if SAQR_TILES
namespace saqr::gemm {

inline int64_t stepsOf(const Problem& problem, int p) { return ceilDiv(unitsOf(Form::bf16, problem.a.depth(p)), kUnits); }
inline int64_t totalSteps(const Problem& problem) {
  int64_t steps = 0;
  for (int p = 0; p < problem.parts; p++) steps += stepsOf(problem, p);
  return steps;
}

// 16 units of 32 columns of t from row k on, turned: out [32 rows][16 units]; what is beyond t is zero
inline void turnStep(const Tensor& t, int64_t k, int64_t from, int64_t count, char* out) {
  static const bf16 zeros[32] = {};
  const bf16* data = static_cast<const bf16*>(t.data) + from;
  auto row = [&](int64_t at) { return at < t.rows ? data + at * t.stride : zeros; };
  for (int64_t r = k + 64; r < std::min(k + 96, t.rows); r++) __builtin_prefetch(data + r * t.stride, 0, 3);  // those after the next step's
  for (int half = 0; half < 2; half++, out += 16 * kStepBytes) {
    const int64_t n = std::clamp<int64_t>(count - 16 * half, 0, 16);
    vf v[W];
    for (int u = 0; u < 16; u++) {
      const bf16 *even = row(k + 2 * u) + 16 * half, *odd = row(k + 2 * u + 1) + 16 * half;
      v[u] = n == 16 ? join(even, odd) : joinFirst(even, odd, static_cast<int>(n));
    }
    transpose(v);
    for (int r = 0; r < 16; r++) store(reinterpret_cast<float*>(out + r * kStepBytes), v[r]);
  }
}

// 64 bytes of `rows` rows from column k on; what is beyond t, and rows up to 32, are zero
inline void copyStep(const Tensor& t, int64_t m, int64_t rows, int64_t k, char* out) {
  const int64_t n = std::min<int64_t>(32, t.cols - k);
  memset(out, 0, kStep);
  for (int64_t r = 0; r < rows; r++) memcpy(out + r * kStepBytes, static_cast<const bf16*>(t.data) + (m + r) * t.stride + k, n * 2);
}

// Lays out a panel's rows over `steps` of the joined reduction: row after row, for so they come from memory. `place(s)`: step s's 32 rows.
template <class Place>
void layRows(const Problem& problem, int64_t m, int64_t rows, Range steps, Place place) {
  int64_t begin = 0;
  for (int p = 0; p < problem.parts; p++) {
    const Tensor& t = problem.a.part(p);
    const int64_t end = begin + stepsOf(problem, p), from = std::max(steps.from, begin), to = std::min(steps.to, end);
    if (problem.a.transposed) {
      for (int64_t s = from; s < to; s++) turnStep(t, (s - begin) * 32, m, rows, place(s));
    } else {
      const int64_t whole = std::min(to, begin + t.cols / 32);
      for (int64_t r = 0; r < rows; r++) {
        const char* row = reinterpret_cast<const char*>(static_cast<const bf16*>(t.data) + (m + r) * t.stride);
        const char* later = r + 4 < rows ? row + 8 * t.stride : row;  // bytes: four rows on
        for (int64_t s = from; s < whole; s++) {
          __builtin_prefetch(later + (s - begin) * kStepBytes, 0, 3);
          store(reinterpret_cast<float*>(place(s) + r * kStepBytes), loadAs<vf>(row + (s - begin) * kStepBytes));
        }
      }
      for (int64_t s = from; s < whole && rows < kHigh; s++) memset(place(s) + rows * kStepBytes, 0, (kHigh - rows) * kStepBytes);
      if (std::max(from, whole) < to) copyStep(t, m, rows, (to - 1 - begin) * 32, place(to - 1));
    }
    begin = end;
  }
}

// The runs of a panel's rows as they lie; steps that aren't whole, of rows or of columns, are copied to `laid`: a step each.
inline int64_t runsOf(const Problem& problem, int64_t m, int64_t rows, Range steps, char* laid, Run* runs) {
  Run* last = runs - 1;
  int64_t begin = 0;
  for (int p = 0; p < problem.parts; p++) {
    const Tensor& t = problem.a.part(p);
    const int64_t end = begin + stepsOf(problem, p), whole = rows % 16 ? begin : begin + t.cols / 32;
    const int64_t from = std::max(steps.from, begin), to = std::min(steps.to, end);
    if (from < std::min(to, whole)) {
      const char* at = reinterpret_cast<const char*>(static_cast<const bf16*>(t.data) + m * t.stride + (from - begin) * 32);
      *++last = {at, t.stride * 2, kStepBytes, std::min(to, whole) - from};
    }
    const int64_t rest = std::max(from, whole);
    if (rest < to) *++last = {laid + (rest - steps.from) * kStep, kStepBytes, kStep, to - rest};
    for (int64_t s = rest; s < to; s++) copyStep(t, m, rows, (s - begin) * 32, laid + (s - steps.from) * kStep);
    begin = end;
  }
  return last + 1 - runs;
}

}  // namespace saqr::gemm
#endif
