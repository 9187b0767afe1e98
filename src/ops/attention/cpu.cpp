// Attention, one query (forward) or one key (backward) at a time.
#include <cmath>
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

struct Shape {
  int64_t heads, kvHeads, headDim, window;
  float scale;
};
struct Mask {
  const int32_t *from, *until, *depth;
  int64_t strides[3], window;
  bool sees(int64_t i, int64_t j) const {
    return from[j * strides[0]] <= i && i < until[j * strides[1]] && (!window || depth[i * strides[2]] - depth[j * strides[2]] < window);
  }
};
Shape shapeOf(const double* a) { return {int64_t(a[0]), int64_t(a[1]), int64_t(a[2]), int64_t(a[4]), float(a[3])}; }
Mask maskOf(const Tensor* t, const Shape& s) {
  return {static_cast<const int32_t*>(t[0].data), static_cast<const int32_t*>(t[1].data), static_cast<const int32_t*>(t[2].data), {t[0].stride, t[1].stride, t[2].stride}, s.window};
}
float value(float x) { return x; }
float value(bf16 x) { return toFloat(x); }
void put(float& to, float x) { to = x; }
void put(bf16& to, float x) { to = toBf16(x); }

template <class T>
const T* rowOf(const Tensor& t, int64_t row, int64_t head, int64_t headDim) { return static_cast<const T*>(t.data) + row * t.stride + head * headDim; }
template <class T>
float dot(const T* a, const T* b, int64_t n) {
  float s = 0;
  for (int64_t i = 0; i < n; i++) s += value(a[i]) * value(b[i]);
  return s;
}

template <class T>
void forward(const Step& step, Worker& worker) {
  const Shape s = shapeOf(step.attrs);
  const Tensor *t = step.tensors, &o = t[0], &lse = t[1], &q = t[2], &k = t[3], &v = t[4];
  const Mask mask = maskOf(t + 5, s);
  const int64_t start = t[8].data ? *static_cast<const int32_t*>(t[8].data) : 0;
  float* sum = reinterpret_cast<float*>(worker.scratch);
  const Range items = share(worker, q.rows * s.heads);
  for (int64_t item = items.from; item < items.to && !worker.aborted(); item++) {
    const int64_t i = item / s.heads, h = item % s.heads, g = h / (s.heads / s.kvHeads);
    float top = -INFINITY, total = 0;
    for (int64_t c = 0; c < s.headDim; c++) sum[c] = 0;
    for (int64_t j = 0; j < k.rows; j++) {
      if (!mask.sees(start + i, j)) continue;
      const float x = s.scale * dot(rowOf<T>(q, i, h, s.headDim), rowOf<T>(k, j, g, s.headDim), s.headDim);
      if (x > top) {
        const float f = std::exp(top - x);
        total *= f;
        for (int64_t c = 0; c < s.headDim; c++) sum[c] *= f;
        top = x;
      }
      const float p = std::exp(x - top);
      total += p;
      for (int64_t c = 0; c < s.headDim; c++) sum[c] += p * value(rowOf<T>(v, j, g, s.headDim)[c]);
    }
    for (int64_t c = 0; c < s.headDim; c++) put(const_cast<T*>(rowOf<T>(o, i, h, s.headDim))[c], total ? sum[c] / total : 0);
    static_cast<float*>(lse.data)[i * lse.stride + h] = total ? top + std::log(total) : -INFINITY;
  }
}

template <class T>
void backward(const Step& step, Worker& worker) {
  const Shape s = shapeOf(step.attrs);
  const Tensor *t = step.tensors, &dq = t[0], &dk = t[1], &dv = t[2], &dO = t[3], &o = t[4], &lse = t[5], &q = t[6], &k = t[7], &v = t[8];
  const Mask mask = maskOf(t + 9, s);
  const int64_t group = s.heads / s.kvHeads, D = s.headDim;
  auto pair = [&](int64_t i, int64_t j, int64_t h, float& p, float& ds) {
    const T *qi = rowOf<T>(q, i, h, D), *dOi = rowOf<T>(dO, i, h, D);
    p = std::exp(s.scale * dot(qi, rowOf<T>(k, j, h / group, D), D) - static_cast<const float*>(lse.data)[i * lse.stride + h]);
    ds = p * (dot(dOi, rowOf<T>(v, j, h / group, D), D) - dot(dOi, rowOf<T>(o, i, h, D), D)) * s.scale;
  };
  float *a = reinterpret_cast<float*>(worker.scratch), *b = a + D, p, ds;
  const Range queries = share(worker, q.rows * s.heads);
  for (int64_t item = queries.from; item < queries.to && !worker.aborted(); item++) {
    const int64_t i = item / s.heads, h = item % s.heads;
    for (int64_t c = 0; c < D; c++) a[c] = 0;
    for (int64_t j = 0; j < k.rows; j++) {
      if (!mask.sees(i, j)) continue;
      pair(i, j, h, p, ds);
      for (int64_t c = 0; c < D; c++) a[c] += ds * value(rowOf<T>(k, j, h / group, D)[c]);
    }
    for (int64_t c = 0; c < D; c++) put(const_cast<T*>(rowOf<T>(dq, i, h, D))[c], a[c]);
  }
  const Range keys = share(worker, k.rows * s.kvHeads);
  for (int64_t item = keys.from; item < keys.to && !worker.aborted(); item++) {
    const int64_t j = item / s.kvHeads, g = item % s.kvHeads;
    for (int64_t c = 0; c < 2 * D; c++) a[c] = 0;
    for (int64_t h = g * group; h < (g + 1) * group; h++) {
      for (int64_t i = 0; i < q.rows; i++) {
        if (!mask.sees(i, j)) continue;
        pair(i, j, h, p, ds);
        for (int64_t c = 0; c < D; c++) {
          a[c] += ds * value(rowOf<T>(q, i, h, D)[c]);
          b[c] += p * value(rowOf<T>(dO, i, h, D)[c]);
        }
      }
    }
    for (int64_t c = 0; c < D; c++) {
      put(const_cast<T*>(rowOf<T>(dk, j, g, D))[c], a[c]);
      put(const_cast<T*>(rowOf<T>(dv, j, g, D))[c], b[c]);
    }
  }
}

}  // namespace

SAQR_KERNEL(attention) {
  if (step.tensors[0].dtype == DType::f32) forward<float>(step, worker);
  else if (step.tensors[0].dtype == DType::bf16) forward<bf16>(step, worker);
  else worker.fail("attention: f32 or bf16");
}
SAQR_KERNEL(attention_backward) {
  if (step.tensors[0].dtype == DType::f32) backward<float>(step, worker);
  else if (step.tensors[0].dtype == DType::bf16) backward<bf16>(step, worker);
  else worker.fail("attention_backward: f32 or bf16");
}
