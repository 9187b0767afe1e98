// Slots' weights in the order of sorted rows, zeros beside them, and back (op.ts): copies.
#include "attrs/slot-weights.hpp"
#include "elementwise.hpp"

using namespace saqr;

static int32_t slotOf(const Tensor& order, int64_t s) { return static_cast<const int32_t*>(order.data)[s * order.stride]; }

SAQR_KERNEL(slot_weights) {
  const Tensor &y = step.tensors[0], &weights = step.tensors[1], &order = step.tensors[2];
  if (order.dtype != DType::i32) return worker.fail("slot_weights takes an i32 order");
  const Range part = share(worker, y.rows);
  const bool taken = withType<F32, BF16>(y.dtype, [&](auto e) {
    using E = decltype(e);
    for (int64_t s = part.from; s < part.to; s++) {
      auto* row = rowOf<E>(y, s);
      row[0] = E::round(1.0f);
      for (int64_t c = 1; c < y.cols; c++) row[c] = E::round(0.0f);
    }
    const bool read = !weights.data || withType<F32, BF16>(weights.dtype, [&](auto w) {
      using V = decltype(w);
      for (int64_t s = part.from; s < part.to; s++) {
        const int64_t slot = slotOf(order, s);
        *rowOf<E>(y, s) = E::round(V::value(rowOf<V>(weights, slot / weights.cols)[slot % weights.cols]));
      }
    });
    if (!read) worker.fail("slot_weights takes weights in f32 or bf16");
  });
  if (!taken) worker.fail("slot_weights gives f32 or bf16");
}

SAQR_KERNEL(slot_weights_backward) {
  const Tensor &dWeights = step.tensors[0], &dY = step.tensors[1], &order = step.tensors[3];
  if (order.dtype != DType::i32) return worker.fail("slot_weights_backward takes an i32 order");
  const Range part = share(worker, dY.rows);
  const bool taken = withType<F32, BF16>(dY.dtype, [&](auto e) {
    using E = decltype(e);
    const bool written = withType<F32, BF16>(dWeights.dtype, [&](auto w) {
      using V = decltype(w);
      for (int64_t s = part.from; s < part.to; s++) {
        const int64_t slot = slotOf(order, s);
        rowOf<V>(dWeights, slot / dWeights.cols)[slot % dWeights.cols] = V::round(E::value(*rowOf<E>(dY, s)));
      }
    });
    if (!written) worker.fail("slot_weights_backward gives f32 or bf16");
  });
  if (!taken) worker.fail("slot_weights_backward takes f32 or bf16");
}
