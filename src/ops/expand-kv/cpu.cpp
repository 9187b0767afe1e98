// Keys and values out of a latent's product: moves, and in backward a sum over heads.
#include "attrs/expand-kv.hpp"
#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void expand(const Step& step, Worker& worker) {
  const Tensor &k = step.tensors[0], &v = step.tensors[1], &kv = step.tensors[2], &shared = step.tensors[3];
  const attrs::expand_kv a(step);
  const int64_t heads = v.cols / a.valueDim, width = a.own + shared.cols, size = sizeof(typename E::T);
  const Range rows = share(worker, kv.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    for (int64_t h = 0; h < heads; h++) {
      const auto* from = rowOf<E>(kv, t) + h * (a.own + a.valueDim);
      auto* key = rowOf<E>(k, t) + h * width;
      memcpy(key, from, a.own * size);
      memcpy(key + a.own, rowOf<E>(shared, t), shared.cols * size);
      memcpy(rowOf<E>(v, t) + h * a.valueDim, from + a.own, a.valueDim * size);
    }
  }
}

template <class E>
static void backward(const Step& step, Worker& worker) {
  const Tensor &dKv = step.tensors[0], &dShared = step.tensors[1], &dK = step.tensors[2], &dV = step.tensors[3];
  const attrs::expand_kv_backward a(step);
  const int64_t heads = dV.cols / a.valueDim, width = a.own + dShared.cols, size = sizeof(typename E::T);
  const Range rows = share(worker, dK.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    for (int64_t h = 0; h < heads; h++) {
      auto* to = rowOf<E>(dKv, t) + h * (a.own + a.valueDim);
      memcpy(to, rowOf<E>(dK, t) + h * width, a.own * size);
      memcpy(to + a.own, rowOf<E>(dV, t) + h * a.valueDim, a.valueDim * size);
    }
    vectors(0, dShared.cols, [&](int64_t c, auto n) {
      vf sum{};
      for (int64_t h = 0; h < heads; h++) sum += E::load(rowOf<E>(dK, t) + h * width + a.own + c, n);
      E::store(rowOf<E>(dShared, t) + c, sum, n);
    });
  }
}

SAQR_KERNEL(expand_kv) {
  const Tensor* t = step.tensors;
  if (!sameType({t, t + 1, t + 2, t + 3}) || !withType<F32, BF16>(t[0].dtype, [&](auto e) { expand<decltype(e)>(step, worker); }))
    worker.fail("expand_kv takes f32 or bf16, one for all");
}
SAQR_KERNEL(expand_kv_backward) {
  const Tensor* t = step.tensors;
  if (!sameType({t, t + 1, t + 2, t + 3}) || !withType<F32, BF16>(t[0].dtype, [&](auto e) { backward<decltype(e)>(step, worker); }))
    worker.fail("expand_kv_backward takes f32 or bf16, one for all");
}
