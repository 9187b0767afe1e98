// RMSprop and Adagrad in one pass over the flat range.
#include <algorithm>
#include "attrs/rms-step.hpp"
#include "elementwise.hpp"

using namespace saqr;

SAQR_KERNEL(rms_step) {
  const Tensor* t = step.tensors;  // p, g, v; p, g, v, norm, stepFloats
  const bool f32 = std::all_of(t, t + 8, [](const Tensor& x) { return x.dtype == DType::f32; });
  if (!f32) return worker.fail("rms_step takes f32 weights, gradients and state");
  const double norm = *static_cast<const float*>(t[6].data);
  if (!std::isfinite(norm)) return;
  const attrs::rms_step a(step);
  const float* s = static_cast<const float*>(t[7].data);
  const double coefficient = s[1] / (norm + 1e-6);
  const float clip = s[1] > 0 && !(coefficient > 1) ? static_cast<float>(coefficient) : 1.0f;
  const float lr = static_cast<float>(s[0] * a.rate), decay = static_cast<float>(a.weightDecay), eps = static_cast<float>(a.eps);
  const float kept = static_cast<float>(a.kept), added = static_cast<float>(a.added);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0), *v = rowOf<F32>(t[2], 0);
  const Range part = share(worker, t[0].cols, 64);
  vectors(part.from, part.to, [&](int64_t i, auto n) {
    const vf value = F32::load(p + i, n), gradient = F32::load(g + i, n) * clip + decay * value;
    const vf square = kept * F32::load(v + i, n) + added * (gradient * gradient);
    F32::store(p + i, value - lr * gradient / (sqrt(square) + eps), n);
    F32::store(v + i, square, n);
    F32::store(g + i, vf{}, n);
  });
}
