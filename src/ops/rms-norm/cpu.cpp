// RMSNorm, alone and after a residual sum, and its backward. A unit of work is one group of one row; it stays in L1 between the pass that
// sums and the pass that writes. The weight, whatever its type, is one f32 row in the thread's scratch.
#include "attrs/rms-norm.hpp"
#include "elementwise.hpp"

using namespace saqr;

// f32 w, or 1 + w; null when its type or size is none we take
static const float* weightOf(const Tensor& w, bool plusOne, Worker& worker) {
  float* out = reinterpret_cast<float*>(worker.scratch);
  const vf plus = set1(plusOne ? 1.0f : 0.0f);
  if (w.cols * sizeof(float) > kScratchBytes) return nullptr;
  bool taken = withType<F32, BF16, F16>(w.dtype, [&](auto e) {
    auto* in = rowOf<decltype(e)>(w, 0);
    vectors(0, w.cols, [&](int64_t i, auto n) { F32::store(out + i, decltype(e)::load(in + i, n) + plus, n); });
  });
  return taken ? out : nullptr;
}

// f(row, group, first channel) for this thread's share of the groups of x
template <class F>
static SAQR_INLINE void eachGroup(const Worker& worker, const Tensor& x, int64_t size, F f) {
  const int64_t groups = x.cols / size;
  const Range part = share(worker, x.rows * groups);
  for (int64_t unit = part.from; unit < part.to; unit++) f(unit / groups, unit % groups, unit % groups * size);
}

// y = x · r · w over n channels; returns r = 1 / sqrt(mean(x²) + eps)
template <class E>
static SAQR_INLINE float normalise(typename E::T* y, const typename E::T* x, const float* w, int64_t n, double eps) {
  const float squares = total(n, [&](int64_t i, auto k) {
    vf v = E::load(x + i, k);
    return v * v;
  });
  const float r = 1.0f / std::sqrt(squares / static_cast<float>(n) + static_cast<float>(eps));
  const vf rs = set1(r);
  vectors(0, n, [&](int64_t i, auto k) { E::store(y + i, E::load(x + i, k) * rs * F32::load(w + i, k), k); });
  return r;
}

template <class E>
static void forward(const Tensor& y, const Tensor& rstd, const Tensor& x, const float* w, const attrs::rms_norm& a, const Worker& worker) {
  eachGroup(worker, x, a.group, [&](int64_t row, int64_t group, int64_t at) {
    rowOf<F32>(rstd, row)[group] = normalise<E>(rowOf<E>(y, row) + at, rowOf<E>(x, row) + at, w, a.group, a.eps);
  });
}

// y comes from h as it is stored, so that rms_norm of h gives the same bits once more
template <class E>
static void addForward(const Step& step, const float* w, const Worker& worker) {
  const Tensor &h = step.tensors[0], &y = step.tensors[1], &rstd = step.tensors[2], &x = step.tensors[3], &delta = step.tensors[4];
  const attrs::add_rms_norm a(step);
  const int64_t size = a.group;
  eachGroup(worker, x, size, [&](int64_t row, int64_t group, int64_t at) {
    auto *out = rowOf<E>(h, row) + at, *xs = rowOf<E>(x, row) + at, *ds = rowOf<E>(delta, row) + at;
    vectors(0, size, [&](int64_t i, auto n) { E::store(out + i, E::load(xs + i, n) + E::load(ds + i, n), n); });
    rowOf<F32>(rstd, row)[group] = normalise<E>(rowOf<E>(y, row) + at, out, w, size, a.eps);
  });
}

// d = r · (g − x̂ · mean(g · x̂)) + dResidual, g = dY · w, x̂ = x · r
template <class E>
static void backward(const Step& step, const float* w, const Worker& worker) {
  const Tensor &d = step.tensors[0], &dY = step.tensors[1], &x = step.tensors[2], &rstd = step.tensors[4], &dResidual = step.tensors[5];
  const int64_t size = attrs::rms_norm_backward(step).group;
  eachGroup(worker, x, size, [&](int64_t row, int64_t group, int64_t at) {
    auto *out = rowOf<E>(d, row) + at, *dy = rowOf<E>(dY, row) + at, *xs = rowOf<E>(x, row) + at;
    auto* rest = dResidual.data ? rowOf<E>(dResidual, row) + at : nullptr;
    const float r = rowOf<F32>(rstd, row)[group];
    // the pass that sums fetches the residual for the one that writes, and that what the next unit sums
    const float dot = total(size, [&](int64_t i, auto n) {
      if (rest) __builtin_prefetch(rest + i);
      return E::load(dy + i, n) * F32::load(w + i, n) * E::load(xs + i, n);
    });
    const vf rs = set1(r), pull = set1(dot * r * r * r / static_cast<float>(size));
    auto value = [&](int64_t i, auto n) {
      __builtin_prefetch(dy + size + i);
      __builtin_prefetch(xs + size + i);
      return E::load(dy + i, n) * F32::load(w + i, n) * rs - E::load(xs + i, n) * pull;
    };
    if (rest) vectors(0, size, [&](int64_t i, auto n) { E::store(out + i, value(i, n) + E::load(rest + i, n), n); });
    else vectors(0, size, [&](int64_t i, auto n) { E::store(out + i, value(i, n), n); });
  });
}

// dW += Σ dY · x · r
template <class E>
static void weightGrad(const Step& step, Worker& worker) {
  const Tensor &dW = step.tensors[0], &dY = step.tensors[1], &x = step.tensors[2], &rstd = step.tensors[3];
  const int64_t size = attrs::rms_norm_weight_grad(step).group, groups = x.cols / size;
  addRows(worker, rowOf<F32>(dW, 0), x.rows, size, [&](int64_t row, float* sums) {
    for (int64_t g = 0; g < groups; g++) {
      auto *dy = rowOf<E>(dY, row) + g * size, *xs = rowOf<E>(x, row) + g * size;
      const vf r = set1(rowOf<F32>(rstd, row)[g]);
      vectors(0, size, [&](int64_t i, auto n) { F32::store(sums + i, F32::load(sums + i, n) + E::load(dy + i, n) * E::load(xs + i, n) * r, n); });
    }
  });
}

SAQR_KERNEL(rms_norm) {
  const Tensor* t = step.tensors;
  const attrs::rms_norm a(step);
  const float* w = weightOf(t[3], a.plusOne, worker);
  bool taken = w && sameType({t, t + 2}) && withType<F32, BF16>(t[2].dtype, [&](auto e) { forward<decltype(e)>(t[0], t[1], t[2], w, a, worker); });
  if (!taken) worker.fail("rms_norm takes f32 or bf16 activations and a weight in f32, bf16 or f16");
}
SAQR_KERNEL(add_rms_norm) {
  const Tensor* t = step.tensors;
  const float* w = weightOf(t[5], attrs::add_rms_norm(step).plusOne, worker);
  bool taken = w && sameType({t, t + 1, t + 3, t + 4}) && withType<F32, BF16>(t[3].dtype, [&](auto e) { addForward<decltype(e)>(step, w, worker); });
  if (!taken) worker.fail("add_rms_norm takes f32 or bf16 activations and a weight in f32, bf16 or f16");
}
SAQR_KERNEL(rms_norm_backward) {
  const Tensor* t = step.tensors;
  const float* w = weightOf(t[3], attrs::rms_norm_backward(step).plusOne, worker);
  bool taken = w && sameType({t, t + 1, t + 2, t + 5}) && t[4].dtype == DType::f32 && withType<F32, BF16>(t[1].dtype, [&](auto e) { backward<decltype(e)>(step, w, worker); });
  if (!taken) worker.fail("rms_norm_backward takes f32 or bf16 activations, a weight in f32, bf16 or f16 and an f32 rstd");
}
SAQR_KERNEL(rms_norm_weight_grad) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t + 1, t + 2}) && t[0].cols * sizeof(float) <= kScratchBytes && t[0].dtype == DType::f32 && t[3].dtype == DType::f32 &&
               withType<F32, BF16>(t[1].dtype, [&](auto e) { weightGrad<decltype(e)>(step, worker); });
  if (!taken) worker.fail("rms_norm_weight_grad takes f32 or bf16 activations, an f32 rstd and an f32 gradient");
}
