// h = silu(gate) · up and its backward, in one pass; outputs may lie where inputs do.
#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void forward(const Step& step, const Worker& worker) {
  const Tensor &h = step.tensors[0], &gate = step.tensors[1], &up = step.tensors[2];
  eachRun(worker, {&h, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(h, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
    vectors(from, to, [&](int64_t i, auto n) {
      vf g = E::load(gs + i, n);
      E::store(out + i, g * sigmoid(g) * E::load(us + i, n), n);
    });
  });
}

template <class E>
static void backward(const Step& step, const Worker& worker) {
  const Tensor &dGate = step.tensors[0], &dUp = step.tensors[1], &dH = step.tensors[2], &gate = step.tensors[3], &up = step.tensors[4];
  eachRun(worker, {&dGate, &dUp, &dH, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
    auto *dgs = rowOf<E>(dGate, row), *dus = rowOf<E>(dUp, row), *ds = rowOf<E>(dH, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
    vectors(from, to, [&](int64_t i, auto n) {
      vf d = E::load(ds + i, n), g = E::load(gs + i, n), u = E::load(us + i, n);
      vf s = sigmoid(g), ds = d * s, du = ds * g;
      E::store(dgs + i, u * (ds + du * (1.0f - s)), n);
      E::store(dus + i, du, n);
    });
  });
}

SAQR_KERNEL(swiglu) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2}) && withType<F32, BF16>(step.tensors[0].dtype, [&](auto e) { forward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("swiglu takes f32 or bf16, one for all");
}
SAQR_KERNEL(swiglu_backward) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2, t + 3, t + 4}) && withType<F32, BF16>(step.tensors[0].dtype, [&](auto e) { backward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("swiglu_backward takes f32 or bf16, one for all");
}
