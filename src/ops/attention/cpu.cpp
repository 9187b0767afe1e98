// Attention over a pass's own tokens on the CPU, its backward, and the sinks' gradient.
#include <cmath>
#include "attrs/attention.hpp"
#include "dispatch.hpp"
#include "elementwise.hpp"
#include "keys.hpp"

using namespace saqr;
using namespace saqr::attention;

namespace {

// one head after another, tokens in order: a few numbers beside the sweep over keys
template <class E>
void sinkGrad(const Step& step, Worker& worker) {
  const Tensor &dSinks = step.tensors[0], &dO = step.tensors[1], &o = step.tensors[2], &lse = step.tensors[3], &sinks = step.tensors[4];
  const int64_t V = attrs::attention_sink_grad(step).valueDim;
  const Range heads = share(worker, sinks.cols);
  for (int64_t h = heads.from; h < heads.to && !worker.aborted(); h++) {
    const float sink = sinkAt(sinks, h);
    float sum = 0;
    for (int64_t i = 0; i < dO.rows; i++) {
      auto *d = rowOf<E>(dO, i) + h * V, *y = rowOf<E>(o, i) + h * V;
      const float delta = total(V, [&](int64_t c, auto n) { return E::load(d + c, n) * E::load(y + c, n); });
      sum += std::exp(sink - rowOf<F32>(lse, i)[h]) * delta;
    }
    static_cast<float*>(dSinks.data)[h] -= sum;
  }
}

}  // namespace

SAQR_KERNEL(attention) {
  const Tensor* t = step.tensors;
  Call call = callOf(attrs::attention(step), t[2], t[3], t[4], t[0], t[1], t + 5);
  call.sinks = t[8];
  const DType type = t[0].dtype;
  Text why = problem(call, type, {t + 2, t + 3, t + 4});
  if (call.q.rows != call.k.rows) why = "queries and keys must be the same tokens";
  if (!why.empty()) return worker.fail((Text("attention: ") + why.chars()).chars());
  type == DType::f32 ? forwardF32(call, worker) : forwardBf16(call, worker);
}

SAQR_KERNEL(attention_backward) {
  const Tensor* t = step.tensors;
  const Call call = callOf(attrs::attention_backward(step), t[6], t[7], t[8], t[4], t[5], t + 9);
  const DType type = t[0].dtype;
  Text why = problem(call, type, {t + 1, t + 2, t + 3, t + 4, t + 6, t + 7, t + 8});
  if (call.q.rows != call.k.rows) why = "queries and keys must be the same tokens";
  if (!why.empty()) return worker.fail((Text("attention_backward: ") + why.chars()).chars());
  const BackwardTensors tensors{t[3], t[0], t[1], t[2]};
  type == DType::f32 ? backwardF32(call, tensors, worker) : backwardBf16(call, tensors, worker);
}

SAQR_KERNEL(attention_sink_grad) {
  const Tensor* t = step.tensors;
  if (t[0].dtype != DType::f32 || t[3].dtype != DType::f32 || t[1].dtype != t[2].dtype || (t[4].dtype != DType::f32 && t[4].dtype != DType::bf16)) return worker.fail("attention_sink_grad: dO and o are of one type, sinks f32 or bf16, all else f32");
  if (t[1].dtype == DType::f32) sinkGrad<F32>(step, worker);
  else if (t[1].dtype == DType::bf16) sinkGrad<BF16>(step, worker);
  else worker.fail("attention_sink_grad: dO is f32 or bf16");
}
