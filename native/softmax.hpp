// Softmax of a short row (a router's logits), in f32.
#pragma once
#include "elementwise.hpp"

namespace saqr {

constexpr int64_t kShortRow = 4096;  // elements a row may have: it stands on the stack

// p (n) = softmax(x), its order of summation by n alone
template <class E>
inline void softmax(const typename E::T* x, int64_t n, float* p) {
  float most = E::value(x[0]);
  for (int64_t i = 1; i < n; i++) most = E::value(x[i]) > most ? E::value(x[i]) : most;
  const vf top = set1(most);
  vectors(0, n, [&](int64_t i, auto k) { F32::store(p + i, exp(E::load(x + i, k) - top), k); });
  const vf share = set1(1.0f / total(n, [&](int64_t i, auto k) { return F32::load(p + i, k); }));
  vectors(0, n, [&](int64_t i, auto k) { F32::store(p + i, F32::load(p + i, k) * share, k); });
}

}  // namespace saqr
