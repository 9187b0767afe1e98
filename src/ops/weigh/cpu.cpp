// Sorted rows times their slots' weights, and back (op.ts).
#include "elementwise.hpp"

using namespace saqr;

// f(row, its weight's place): tag W of the weights
template <class W, class F>
static SAQR_INLINE void eachRow(const Worker& worker, const Tensor& rows, const Tensor& weights, const Tensor& order, F f) {
  const Range part = share(worker, rows.rows);
  for (int64_t s = part.from; s < part.to; s++) {
    const int64_t slot = static_cast<const int32_t*>(order.data)[s * order.stride];
    f(s, slot / weights.cols, slot % weights.cols);
  }
}

SAQR_KERNEL(weigh) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1], &weights = step.tensors[2], &order = step.tensors[3];
  if (y.dtype != x.dtype || order.dtype != DType::i32) return worker.fail("weigh gives the type it takes, by an i32 order");
  const bool taken = withType<F32, BF16>(x.dtype, [&](auto e) {
    using E = decltype(e);
    const bool weighed = withType<F32, BF16>(weights.dtype, [&](auto w) {
      using V = decltype(w);
      eachRow<V>(worker, y, weights, order, [&](int64_t s, int64_t t, int64_t j) {
        const vf weight = set1(V::value(rowOf<V>(weights, t)[j]));
        auto *to = rowOf<E>(y, s), *from = rowOf<E>(x, s);
        vectors(0, y.cols, [&](int64_t i, auto n) { E::store(to + i, E::load(from + i, n) * weight, n); });
      });
    });
    if (!weighed) worker.fail("weigh takes weights in f32 or bf16");
  });
  if (!taken) worker.fail("weigh takes f32 or bf16");
}

SAQR_KERNEL(weigh_backward) {
  const Tensor &dX = step.tensors[0], &dWeights = step.tensors[1], &dY = step.tensors[2], &x = step.tensors[3];
  const Tensor &weights = step.tensors[4], &order = step.tensors[5];
  if (dX.dtype != dY.dtype || x.dtype != dY.dtype || dWeights.dtype != weights.dtype || order.dtype != DType::i32)
    return worker.fail("weigh_backward gives the types it takes, by an i32 order");
  const bool taken = withType<F32, BF16>(x.dtype, [&](auto e) {
    using E = decltype(e);
    const bool weighed = withType<F32, BF16>(weights.dtype, [&](auto w) {
      using V = decltype(w);
      eachRow<V>(worker, dX, weights, order, [&](int64_t s, int64_t t, int64_t j) {
        const vf weight = set1(V::value(rowOf<V>(weights, t)[j]));
        auto *to = rowOf<E>(dX, s), *d = rowOf<E>(dY, s), *from = rowOf<E>(x, s);
        // before dX is written, which may lie where dY or x does
        const float sum = total(dX.cols, [&](int64_t i, auto n) { return E::load(d + i, n) * E::load(from + i, n); });
        vectors(0, dX.cols, [&](int64_t i, auto n) { E::store(to + i, E::load(d + i, n) * weight, n); });
        rowOf<V>(dWeights, t)[j] = V::round(sum);
      });
    });
    if (!weighed) worker.fail("weigh_backward takes weights in f32 or bf16");
  });
  if (!taken) worker.fail("weigh_backward takes f32 or bf16");
}
