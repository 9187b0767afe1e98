// d += Σ_t dY[t]
#include "elementwise.hpp"

using namespace saqr;

SAQR_KERNEL(column_sum) {
  const Tensor &d = step.tensors[0], &dY = step.tensors[1];
  bool taken = d.dtype == DType::f32 && d.cols * sizeof(float) <= kScratchBytes && withType<F32, BF16>(dY.dtype, [&](auto e) {
    using E = decltype(e);
    addRows(worker, rowOf<F32>(d, 0), dY.rows, dY.cols, [&](int64_t row, float* sums) {
      auto* in = rowOf<E>(dY, row);
      vectors(0, dY.cols, [&](int64_t i, auto n) { F32::store(sums + i, F32::load(sums + i, n) + E::load(in + i, n), n); });
    });
  });
  if (!taken) worker.fail("column_sum takes f32 or bf16, at most 2,097,152 columns, and adds to f32");
}
