// d += Σ_t dY[t]. A thread has columns of its own and adds rows in order, 64 at a time (short sums lose less): the same bits however many
// threads there are.
#include "elementwise.hpp"

using namespace saqr;

// columns a thread sums at once: 16 KiB, their sums stay in L1
static constexpr int64_t kPanel = 4096;

template <class E>
static void columnSum(const Step& step, const Worker& worker) {
  const Tensor &d = step.tensors[0], &dY = step.tensors[1];
  const Range part = share(worker, dY.cols, 16);
  alignas(64) float sums[kPanel], block[kPanel];
  for (int64_t from = part.from; from < part.to; from += kPanel) {
    const int64_t size = part.to - from < kPanel ? part.to - from : kPanel;
    for (int64_t i = 0; i < size; i++) sums[i] = 0;
    for (int64_t first = 0; first < dY.rows; first += 64) {
      for (int64_t i = 0; i < size; i++) block[i] = 0;
      for (int64_t row = first; row < dY.rows && row < first + 64; row++) {
        auto* in = rowOf<E>(dY, row) + from;
        vectors(0, size, [&](int64_t i, auto n) { F32::store(block + i, F32::load(block + i, n) + E::load(in + i, n), n); });
      }
      for (int64_t i = 0; i < size; i++) sums[i] += block[i];
    }
    float* out = rowOf<F32>(d, 0) + from;
    for (int64_t i = 0; i < size; i++) out[i] += sums[i];
  }
}

SAQR_KERNEL(column_sum) {
  const Tensor* t = step.tensors;
  bool taken = t[0].dtype == DType::f32 && withType<F32, BF16>(t[1].dtype, [&](auto e) { columnSum<decltype(e)>(step, worker); });
  if (!taken) worker.fail("column_sum takes f32 or bf16 and adds to f32");
}
