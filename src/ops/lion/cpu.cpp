// Lion in one pass over the flat range.
#include <algorithm>
#include "attrs/lion.hpp"
#include "elementwise.hpp"

using namespace saqr;

SAQR_KERNEL(lion) {
  const Tensor* t = step.tensors;  // p, g, m; p, g, m, norm, stepFloats
  const bool f32 = std::all_of(t, t + 8, [](const Tensor& x) { return x.dtype == DType::f32; });
  if (!f32) return worker.fail("lion takes f32 weights, gradients and state");
  const double norm = *static_cast<const float*>(t[6].data);
  if (!std::isfinite(norm)) return;
  const attrs::lion a(step);
  const float* s = static_cast<const float*>(t[7].data);
  const double lr = s[0] * a.rate, coefficient = s[1] / (norm + 1e-6);
  const float clip = s[1] > 0 && !(coefficient > 1) ? static_cast<float>(coefficient) : 1.0f;
  const float beta1 = static_cast<float>(a.beta1), rest1 = static_cast<float>(1 - a.beta1);
  const float beta2 = static_cast<float>(a.beta2), rest2 = static_cast<float>(1 - a.beta2);
  const float decay = static_cast<float>(1 - lr * a.weightDecay), rate = static_cast<float>(lr);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0), *m = rowOf<F32>(t[2], 0);
  const Range part = share(worker, t[0].cols, 64);
  vectors(part.from, part.to, [&](int64_t i, auto n) {
    const vf gradient = F32::load(g + i, n) * clip, moment = F32::load(m + i, n);
    const vf towards = beta1 * moment + rest1 * gradient;
    const vf move = select(towards > 0, set1(rate), select(towards < 0, set1(-rate), vf{}));
    F32::store(p + i, F32::load(p + i, n) * decay - move, n);
    F32::store(m + i, beta2 * moment + rest2 * gradient, n);
    F32::store(g + i, vf{}, n);
  });
}
