// y = factor · x; y may lie where x does.
#include "attrs/scale.hpp"
#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void scale(const Step& step, const Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1];
  const vf factor = set1(static_cast<float>(attrs::scale(step).factor));
  eachRun(worker, {&y, &x}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(y, row), *in = rowOf<E>(x, row);
    vectors(from, to, [&](int64_t i, auto n) { E::store(out + i, factor * E::load(in + i, n), n); });
  });
}

SAQR_KERNEL(scale) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { scale<decltype(e)>(step, worker); });
  if (!taken) worker.fail("scale takes f32 or bf16, one for both");
}
