// Products of few columns (low-rank ones): rows of a are read where they lie, for laying them out would cost more than it saves.
#include <algorithm>
#include "gemm-pack.hpp"

namespace saqr::gemm {

constexpr int64_t kMostCols = 64;
constexpr int kMostParts = 16;

bool fitsDirect(const Problem& problem) {
  if (problem.a.transposed || problem.N > kMostCols || problem.parts > kMostParts) return false;
  const Form form = problem.form();
  for (int p = 0; p < problem.parts; p++) {
    if (problem.a.part(p).dtype != (form == Form::bf16 ? DType::bf16 : DType::f32)) return false;
  }
  return Panels{0, problem.N, false}.floats(totalUnits(problem, form)) * 4 <= Scratch::kColumns;
}

void multiplyDirect(const Problem& problem, Worker& worker) {
  const Form form = problem.form();
  const int64_t units = totalUnits(problem, form), bytes = form == Form::bf16 ? 2 : 4;
  const Range rows = share(worker, problem.M);
  if (rows.from == rows.to) return;
  const Scratch scratch(worker);
  const Panels columns{0, problem.N, false};
  pack(problem, problem.b, form, columns, 0, units, scratch.columns, scratch.staging);
  loadBias(problem.epilogue, 0, problem.N, scratch.bias);

  alignas(64) float sums[kDirect * kWide];
  Rows parts[kMostParts];
  const int64_t blocks = (rows.to - rows.from + kDirect - 1) / kDirect;
  for (int64_t i = 0; i < blocks; i++) {
    if (i % 64 == 0 && worker.aborted()) return;
    auto row = [&](int64_t block) { return rows.from + (rows.to - rows.from) * block / blocks; };
    const int64_t m = row(i), height = row(i + 1) - m;
    for (int p = 0; p < problem.parts; p++) {
      const Tensor& t = problem.a.part(p);
      parts[p] = {static_cast<const char*>(t.data) + m * t.stride * bytes, t.stride, t.cols};
    }
    for (int64_t q = 0; q < columns.count(); q++) {
      const int64_t n = columns.start(q);
      directKernel(form, height, columns.step(q) / W)(parts, problem.parts, scratch.columns + columns.at(q, units), sums, kWide);
      applyEpilogue(problem.epilogue, m, n, height, columns.size(q), sums, kWide, scratch.bias + n);
    }
  }
}

}  // namespace saqr::gemm
