// Dropout by counter-based bits (op.ts defines them): one key a token, one hash a channel, the same on every device.
#include <cmath>
#include "attrs/dropout.hpp"
#include "bits.hpp"
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

// the key of each row of x is what `keyOf` says
template <class T, class Key>
void drop(const Tensor& y, const Tensor& x, double p, Worker& worker, Key keyOf) {
  // kept when bits >= p · 2³², that is when bits > limit; p < 2⁻³² keeps all, p = 1 none
  const double least = std::ceil(p * 4294967296.0);
  const bool all = least <= 0, none = least > 4294967295.0;
  const uint32_t limit = all || none ? 0 : static_cast<uint32_t>(least) - 1;
  const float scale = static_cast<float>(1 / (1 - p));
  const vu channels = (vu)iota();
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    const uint32_t key = keyOf(t);
    const T* from = static_cast<const T*>(x.data) + t * x.stride;
    T* to = static_cast<T*>(y.data) + t * y.stride;
    auto masked = [&](int64_t c, vf v) {
      const vu bits = channelBits(channels + static_cast<uint32_t>(c), key);
      const vi kept = all ? ~vi{} : none ? vi{} : (vi)(bits > limit);
      return select(kept, v * scale, vf{});
    };
    int64_t c = 0;
    for (; c + W <= x.cols; c += W) storeF(to + c, masked(c, loadF(from + c)));
    const int rest = static_cast<int>(x.cols - c);
    if (rest) storeFirst(to + c, masked(c, loadFirst(from + c, rest)), rest);
  }
}

// false where it is of no type that is taken
template <class Key>
bool drops(const Step& step, double p, Worker& worker, Key keyOf) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1];
  if (y.dtype != x.dtype) return false;
  if (y.dtype == DType::f32) drop<float>(y, x, p, worker, keyOf);
  else if (y.dtype == DType::bf16) drop<bf16>(y, x, p, worker, keyOf);
  else return false;
  return true;
}

}  // namespace

SAQR_KERNEL(dropout) {
  const Tensor &row = step.tensors[2], &depth = step.tensors[3], &stepInts = step.tensors[4];
  const attrs::dropout attrs(step);
  const uint32_t module = attrs.module;
  auto keyOf = [&](int64_t t) { return tokenKey({wordAt(stepInts, 0, 0), wordAt(stepInts, 0, 1), wordAt(row, t), wordAt(depth, t), module}); };
  if (!drops(step, attrs.p, worker, keyOf)) worker.fail("dropout: x and y are both f32 or both bf16");
}

SAQR_KERNEL(slot_dropout) {
  const Tensor &order = step.tensors[2], &experts = step.tensors[3];
  const Tensor &row = step.tensors[4], &depth = step.tensors[5], &stepInts = step.tensors[6];
  if (order.dtype != DType::i32 || experts.dtype != DType::i32) return worker.fail("slot_dropout takes an i32 order and i32 experts");
  const attrs::slot_dropout attrs(step);
  const uint32_t module = attrs.module;
  auto keyOf = [&](int64_t s) {
    const uint32_t slot = wordAt(order, s);
    const int64_t t = slot / experts.cols;
    const uint32_t expert = wordAt(experts, t, slot % experts.cols);
    return tokenKey({wordAt(stepInts, 0, 0), wordAt(stepInts, 0, 1), wordAt(row, t), wordAt(depth, t), module, expert});
  };
  if (!drops(step, attrs.p, worker, keyOf)) worker.fail("slot_dropout: x and y are both f32 or both bf16");
}
