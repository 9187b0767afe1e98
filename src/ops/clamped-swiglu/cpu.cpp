// The clamped gated activation of gate and up by turns, and its backward (op.ts), each in one pass.
#include <algorithm>
#include "attrs/clamped-swiglu.hpp"
#include "elementwise.hpp"
#include "transpose.hpp"

namespace {

using namespace saqr;

struct Pairs {
  vf gate, up;
};

// n pairs, which are 2n elements
template <class E>
SAQR_INLINE Pairs loadPairs(const typename E::T* p, All n) {
  Pairs v;
  part(E::load(p, n), E::load(p + W, n), v.gate, v.up);
  return v;
}
template <class E>
SAQR_INLINE Pairs loadPairs(const typename E::T* p, int n) {
  Pairs v;
  part(E::load(p, std::min(2 * n, W)), E::load(p + W, std::max(2 * n - W, 0)), v.gate, v.up);
  return v;
}
template <class E>
SAQR_INLINE void storePairs(typename E::T* p, const Pairs& v, All n) {
  vf low, high;
  interleave(v.gate, v.up, low, high);
  E::store(p, low, n), E::store(p + W, high, n);
}
template <class E>
SAQR_INLINE void storePairs(typename E::T* p, const Pairs& v, int n) {
  vf low, high;
  interleave(v.gate, v.up, low, high);
  E::store(p, low, std::min(2 * n, W)), E::store(p + W, high, std::max(2 * n - W, 0));
}

// NaN stays NaN
SAQR_INLINE vf atMost(vf x, vf limit) { return select(x > limit, limit, x); }
SAQR_INLINE vf within(vf x, vf limit) { return atMost(select(x < -limit, -limit, x), limit); }

// f(row, from, to): pairs [from, to) of a row for this thread. Where all lie dense they are one long row, cut at whole vectors.
template <class F>
SAQR_INLINE void eachPairs(const Worker& worker, std::initializer_list<const Tensor*> tensors, int64_t rows, int64_t pairs, F f) {
  bool dense = true;
  for (const Tensor* t : tensors) dense = dense && (t->stride == t->cols || rows == 1);
  const Range share = dense ? saqr::share(worker, rows * pairs, 64) : saqr::share(worker, rows);
  if (dense && share.from < share.to) f(0, share.from, share.to);
  for (int64_t row = share.from; !dense && row < share.to; row++) f(row, 0, pairs);
}

}  // namespace

SAQR_KERNEL(clamped_swiglu) {
  const Tensor &h = step.tensors[0], &both = step.tensors[1];
  const attrs::clamped_swiglu attrs(step);
  const vf alpha = set1(static_cast<float>(attrs.alpha)), limit = set1(static_cast<float>(attrs.limit));
  const bool taken = sameType({&h, &both}) && withType<F32, BF16>(h.dtype, [&](auto e) {
    using E = decltype(e);
    eachPairs(worker, {&h, &both}, h.rows, h.cols, [&](int64_t row, int64_t from, int64_t to) {
      auto *out = rowOf<E>(h, row), *in = rowOf<E>(both, row);
      vectors(from, to, [&](int64_t i, auto n) {
        const Pairs v = loadPairs<E>(in + 2 * i, n);
        const vf gate = atMost(v.gate, limit);
        E::store(out + i, (within(v.up, limit) + 1.0f) * (gate * sigmoid(alpha * gate)), n);
      });
    });
  });
  if (!taken) worker.fail("clamped_swiglu takes f32 or bf16, one for all");
}

SAQR_KERNEL(clamped_swiglu_backward) {
  const Tensor &dBoth = step.tensors[0], &dH = step.tensors[1], &both = step.tensors[2];
  const attrs::clamped_swiglu_backward attrs(step);
  const vf alpha = set1(static_cast<float>(attrs.alpha)), limit = set1(static_cast<float>(attrs.limit));
  const bool taken = sameType({&dBoth, &dH, &both}) && withType<F32, BF16>(dH.dtype, [&](auto e) {
    using E = decltype(e);
    eachPairs(worker, {&dBoth, &dH, &both}, dH.rows, dH.cols, [&](int64_t row, int64_t from, int64_t to) {
      auto *out = rowOf<E>(dBoth, row), *ds = rowOf<E>(dH, row), *in = rowOf<E>(both, row);
      vectors(from, to, [&](int64_t i, auto n) {
        const Pairs v = loadPairs<E>(in + 2 * i, n);
        const vf gate = atMost(v.gate, limit), s = sigmoid(alpha * gate), dS = E::load(ds + i, n) * s;
        const vf dGate = dS * (within(v.up, limit) + 1.0f) * (1.0f + alpha * gate * (1.0f - s)), dUp = dS * gate;
        storePairs<E>(out + 2 * i, {select(v.gate > limit, vf{}, dGate), select(abs(v.up) > limit, vf{}, dUp)}, n);
      });
    });
  });
  if (!taken) worker.fail("clamped_swiglu_backward takes f32 or bf16, one for all");
}
