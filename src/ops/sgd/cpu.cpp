// SGD, with and without momentum, in one pass over the flat range.
#include <algorithm>
#include "attrs/sgd.hpp"
#include "elementwise.hpp"

using namespace saqr;

namespace {

bool areF32(const Tensor* from, int n) {
  return std::all_of(from, from + n, [](const Tensor& x) { return x.dtype == DType::f32; });
}

struct Numbers {
  float lr, clip, decay, momentum;
  // stepFloats: lr, maxNorm (0: no clipping)
  Numbers(const attrs::sgd& a, const Tensor& norm, const Tensor& stepFloats) {
    const float* s = static_cast<const float*>(stepFloats.data);
    const double coefficient = s[1] / (static_cast<double>(*static_cast<const float*>(norm.data)) + 1e-6);
    lr = static_cast<float>(s[0] * a.rate);
    clip = s[1] > 0 && !(coefficient > 1) ? static_cast<float>(coefficient) : 1.0f;
    decay = static_cast<float>(a.weightDecay), momentum = static_cast<float>(a.momentum);
  }
};

bool isFinite(const Tensor& norm) { return std::isfinite(*static_cast<const float*>(norm.data)); }

}  // namespace

SAQR_KERNEL(sgd) {
  const Tensor* t = step.tensors;  // p, g; p, g, norm, stepFloats
  if (!areF32(t, 6)) return worker.fail("sgd takes f32 weights and gradients");
  if (!isFinite(t[4])) return;
  const Numbers s(attrs::sgd(step), t[4], t[5]);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0);
  const Range part = share(worker, t[0].cols, 64);
  vectors(part.from, part.to, [&](int64_t i, auto n) {
    const vf value = F32::load(p + i, n), gradient = F32::load(g + i, n) * s.clip + s.decay * value;
    F32::store(p + i, value - s.lr * gradient, n);
    F32::store(g + i, vf{}, n);
  });
}

SAQR_KERNEL(sgd_momentum) {
  const Tensor* t = step.tensors;  // p, g, m; p, g, m, norm, stepFloats
  if (!areF32(t, 8)) return worker.fail("sgd_momentum takes f32 weights, gradients and state");
  if (!isFinite(t[6])) return;
  const attrs::sgd a(step);
  const Numbers s(a, t[6], t[7]);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0), *m = rowOf<F32>(t[2], 0);
  const Range part = share(worker, t[0].cols, 64);
  vectors(part.from, part.to, [&](int64_t i, auto n) {
    const vf value = F32::load(p + i, n), gradient = F32::load(g + i, n) * s.clip + s.decay * value;
    const vf moment = s.momentum * F32::load(m + i, n) + gradient;
    F32::store(p + i, value - s.lr * (a.nesterov ? gradient + s.momentum * moment : moment), n);
    F32::store(m + i, moment, n);
    F32::store(g + i, vf{}, n);
  });
}
