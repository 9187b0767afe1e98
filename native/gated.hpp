// Gated activations, h = activation(gate) · up, and their backward, each in one pass; outputs may lie where inputs do. What a kernel is of is
// a struct:
//   static vf of(vf g)                                  activation(g)
//   static Gradients gradients(vf d, vf g, vf u)        of h = of(g) · u, where d is dh
#pragma once
#include "elementwise.hpp"

namespace saqr {

struct Gradients {
  vf gate, up;
};

// false where the tensors are not all f32 or all bf16
template <class A>
bool gated(const Step& step, const Worker& worker) {
  const Tensor &h = step.tensors[0], &gate = step.tensors[1], &up = step.tensors[2];
  return sameType({&h, &gate, &up}) && withType<F32, BF16>(h.dtype, [&](auto e) {
    using E = decltype(e);
    eachRun(worker, {&h, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
      auto *out = rowOf<E>(h, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
      vectors(from, to, [&](int64_t i, auto n) { E::store(out + i, A::of(E::load(gs + i, n)) * E::load(us + i, n), n); });
    });
  });
}

template <class A>
bool gatedBackward(const Step& step, const Worker& worker) {
  const Tensor &dGate = step.tensors[0], &dUp = step.tensors[1], &dH = step.tensors[2], &gate = step.tensors[3], &up = step.tensors[4];
  return sameType({&dGate, &dUp, &dH, &gate, &up}) && withType<F32, BF16>(dGate.dtype, [&](auto e) {
    using E = decltype(e);
    eachRun(worker, {&dGate, &dUp, &dH, &gate, &up}, [&](int64_t row, int64_t from, int64_t to) {
      auto *dgs = rowOf<E>(dGate, row), *dus = rowOf<E>(dUp, row), *ds = rowOf<E>(dH, row), *gs = rowOf<E>(gate, row), *us = rowOf<E>(up, row);
      vectors(from, to, [&](int64_t i, auto n) {
        const Gradients of = A::gradients(E::load(ds + i, n), E::load(gs + i, n), E::load(us + i, n));
        E::store(dgs + i, of.gate, n);
        E::store(dus + i, of.up, n);
      });
    });
  });
}

}  // namespace saqr

// the kernels of `name` and `name`_backward
#define SAQR_GATED(name, A)                                                                                    \
  SAQR_KERNEL(name) {                                                                                          \
    if (!saqr::gated<A>(step, worker)) worker.fail(#name " takes f32 or bf16, one for all");                   \
  }                                                                                                            \
  SAQR_KERNEL(name##_backward) {                                                                               \
    if (!saqr::gatedBackward<A>(step, worker)) worker.fail(#name "_backward takes f32 or bf16, one for all");  \
  }
