// h = gelu(gate) · up (tanh form) and its backward, in one pass; outputs may lie where inputs do.
#include "elementwise.hpp"

using namespace saqr;

namespace {

constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;  // √(2/π)

// ½ · (1 + tanh u) = σ(2u), which loses nothing where tanh is near −1
SAQR_INLINE vf halfOf(vf g) { return sigmoid(g * (2 * kRoot + (2 * kRoot * kCubic) * g * g)); }

template <class E>
void forward(const Step& step, const Worker& worker) {
  const Tensor &h = step.tensors[0], &gate = step.tensors[1], &up = step.tensors[2];
  eachRun(worker, {&h, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(h, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
    vectors(from, to, [&](int64_t i, auto n) {
      const vf g = E::load(gs + i, n);
      E::store(out + i, g * halfOf(g) * E::load(us + i, n), n);
    });
  });
}

template <class E>
void backward(const Step& step, const Worker& worker) {
  const Tensor &dGate = step.tensors[0], &dUp = step.tensors[1], &dH = step.tensors[2], &gate = step.tensors[3], &up = step.tensors[4];
  eachRun(worker, {&dGate, &dUp, &dH, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
    auto *dgs = rowOf<E>(dGate, row), *dus = rowOf<E>(dUp, row), *ds = rowOf<E>(dH, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
    vectors(from, to, [&](int64_t i, auto n) {
      const vf d = E::load(ds + i, n), g = E::load(gs + i, n), u = E::load(us + i, n);
      const vf half = halfOf(g), slope = half + g * half * (1.0f - half) * (2 * kRoot + (6 * kRoot * kCubic) * g * g);
      E::store(dgs + i, d * u * slope, n);
      E::store(dus + i, d * g * half, n);
    });
  });
}

}  // namespace

SAQR_KERNEL(geglu) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { forward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("geglu takes f32 or bf16, one for all");
}
SAQR_KERNEL(geglu_backward) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2, t + 3, t + 4}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { backward<decltype(e)>(step, worker); });
  if (!taken) worker.fail("geglu_backward takes f32 or bf16, one for all");
}
