// Gradients of low-rank weights: both reductions run down the rows, and one side has but a few columns. The wide side is read where it
// lies, its columns being the lanes; laying it out would cost half as much as multiplying it.
#include <algorithm>
#include "gemm-pack.hpp"
#include "gemm-units.hpp"

namespace saqr::gemm {

constexpr int64_t kMostNarrow = 64, kChunk = 256;  // columns of the narrow side; rows at once: the wide side's stay in the second cache

static bool narrowRows(const Problem& problem) { return problem.M <= problem.N; }  // else it is y's columns that are few

bool fitsOuter(const Problem& problem) {
  const int64_t narrow = std::min(problem.M, problem.N), wide = std::max(problem.M, problem.N);
  const Form form = problem.form();
  const Tensor& t = (narrowRows(problem) ? problem.b : problem.a).part(0);
  const bool own = t.dtype == (form == Form::bf16 ? DType::bf16 : DType::f32) && form != Form::rounded;
  const bool fits = Panels{0, narrow, false}.floats(totalUnits(problem, form)) * 4 <= Scratch::kColumns && narrow * wide * 4 <= Scratch::kSums;
  return problem.a.transposed && problem.b.transposed && problem.parts == 1 && narrow <= kMostNarrow && wide % W == 0 && own && fits;
}

void multiplyOuter(const Problem& problem, Worker& worker) {
  const bool rows = narrowRows(problem);
  const Form form = problem.form();
  const Side &narrowSide = rows ? problem.a : problem.b, &wideSide = rows ? problem.b : problem.a;
  const int64_t narrow = rows ? problem.M : problem.N, wide = rows ? problem.N : problem.M;
  const int64_t depth = narrowSide.depth(0), perUnit = form == Form::bf16 ? 2 : 1, bytes = 4 / perUnit;
  const Range cols = share(worker, wide, 2 * W);
  if (cols.from == cols.to) return;
  const Scratch scratch(worker);
  const Panels panels{0, narrow, false};
  const int64_t units = totalUnits(problem, form), width = cols.to - cols.from;
  pack(problem, narrowSide, form, panels, 0, units, scratch.columns, scratch.staging);

  // sums (narrow, width), some rows at a time for all columns
  const Tensor& t = wideSide.part(0);
  auto place = [&](int64_t k, int64_t n) { return static_cast<const char*>(t.data) + (k * t.stride + n) * bytes; };
  for (int64_t k = 0; k < depth; k += kChunk) {
    if (worker.aborted()) return;
    const int64_t here = std::min(kChunk, depth - k);
    Fetch ahead(place(k + kChunk, cols.from), t.stride * bytes, std::min(kChunk, depth - k - here), width * bytes);
    for (int64_t n = cols.from; n < cols.to; n += W) {
      for (int64_t q = 0; q < panels.count(); q++) {
        const int64_t size = panels.size(q), step = panels.step(q), blocks = (size + kOuter - 1) / kOuter;
        const float* a = scratch.columns + panels.at(q, units) + k / perUnit * step;
        for (int64_t i = 0; i < blocks; i++) {
          const int64_t from = size * i / blocks, to = size * (i + 1) / blocks;
          float* c = scratch.sums + (panels.start(q) + from) * width + n - cols.from;
          outerKernel(form, to - from)(a + from, step, place(k, n), t.stride, here, c, width, k > 0, ahead);
        }
      }
    }
  }

  if (rows) {
    for (int64_t n = cols.from; n < cols.to; n += kMaxCols) {
      const int64_t count = std::min(kMaxCols, cols.to - n);
      loadBias(problem.epilogue, n, count, scratch.bias);
      applyEpilogue(problem.epilogue, 0, n, narrow, count, scratch.sums + n - cols.from, width, scratch.bias);
    }
    return;
  }
  // y has the narrow side's columns: sums are transposed, W rows of y at a time
  loadBias(problem.epilogue, 0, narrow, scratch.bias);
  alignas(64) float transposed[W * (kMostNarrow + W)] = {};
  for (int64_t m = cols.from; m < cols.to; m += W) {
    for (int64_t n = 0; n < narrow; n += W) {
      vf v[W];
      for (int64_t r = 0; r < W; r++) v[r] = n + r < narrow ? load(scratch.sums + (n + r) * width + m - cols.from) : vf{};
      transpose(v);
      for (int64_t r = 0; r < W; r++) store(transposed + r * (kMostNarrow + W) + n, v[r]);
    }
    applyEpilogue(problem.epilogue, m, 0, W, narrow, transposed, kMostNarrow + W, scratch.bias);
  }
}

}  // namespace saqr::gemm
