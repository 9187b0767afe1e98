// y = cap · tanh(x / cap) and its backward; outputs may lie where inputs do.
#include "attrs/soft-cap.hpp"
#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void forward(const Step& step, const Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1];
  const float cap = static_cast<float>(attrs::soft_cap(step).cap), inverse = 1.0f / cap;
  eachRun(worker, {&y, &x}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(y, row), *in = rowOf<E>(x, row);
    vectors(from, to, [&](int64_t i, auto n) { E::store(out + i, cap * tanh(E::load(in + i, n) * inverse), n); });
  });
}

template <class E>
static void backward(const Step& step, const Worker& worker) {
  const Tensor &d = step.tensors[0], &dY = step.tensors[1], &y = step.tensors[2];
  const float inverse = 1.0f / static_cast<float>(attrs::soft_cap_backward(step).cap);
  eachRun(worker, {&d, &dY, &y}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(d, row), *in = rowOf<E>(dY, row), *ys = rowOf<E>(y, row);
    vectors(from, to, [&](int64_t i, auto n) {
      const vf t = E::load(ys + i, n) * inverse;
      E::store(out + i, E::load(in + i, n) * (1.0f - t * t), n);
    });
  });
}

SAQR_KERNEL(soft_cap) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { forward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("soft_cap takes f32 or bf16, one for both");
}
SAQR_KERNEL(soft_cap_backward) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { backward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("soft_cap_backward takes f32 or bf16, one for all");
}
