// Attention on the CPU: checks what it is asked for and picks the arithmetic. bf16 is multiplied in pairs by dot products where the
// processor has them (weights rounded to bf16, sums and statistics in f32), by tiles where it has those, else converted to f32.
#include <string>
#include "attrs/attention.hpp"
#include "backward.hpp"
#include "decode.hpp"
#include "elementwise.hpp"
#include "forward.hpp"
#include "tiles-backward.hpp"
#include "tiles-forward.hpp"

using namespace saqr;
using namespace saqr::attention;

namespace {

#if defined(__AVX512BF16__) && !SAQR_TILES  // processors with tiles take the dot product at half the rate of f32 (native/build.mjs)
using PairUnits = Bf16Units;
#else
using PairUnits = F32Units;
#endif

// "" when the kernel can do it
std::string problem(const Call& c, DType type, const std::initializer_list<const Tensor*> tensors) {
  for (int64_t size : {c.headDim, c.valueDim}) {
    if (size < 1 || size > kMostChannels) return "head size " + std::to_string(size) + ": at most " + std::to_string(kMostChannels);
  }
  if (c.heads < 1 || c.kvHeads < 1 || c.heads % c.kvHeads) return std::to_string(c.heads) + " heads don't share " + std::to_string(c.kvHeads) + " key heads";
  if (!(c.scale > 0) || c.softCap < 0) return "scale must be positive, a soft cap too";
  if (type != DType::f32 && type != DType::bf16) return "tensors must be f32 or bf16";
  for (const Tensor* t : tensors) {
    if (t->dtype != type) return "all tensors must be of one type";
  }
  if (c.sinks.data && c.sinks.dtype != DType::f32 && c.sinks.dtype != DType::bf16) return "sinks must be f32 or bf16";
  if (c.start < 0 || c.start + c.q.rows > c.k.rows) return "queries lie outside the cache";
  return "";
}

template <class U, class T>
void forward(const Call& call, Worker& worker) {
  if (Decode<U, T>::suits(call)) return Decode<U, T>(call, worker).run();
#if SAQR_TILES
  if (sizeof(T) == 2 && TileForward::suits(call)) return TileForward(call, worker).run();
#endif
  Forward<U, T>(call, worker).run();
}

template <class Attrs>
Call callOf(const Attrs& a, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor* mask) {
  auto padded = [](int64_t channels) { return std::max<int64_t>(16, (channels + 7) / 8 * 8); };
  return {a.heads, a.kvHeads, a.headDim, a.valueDim, padded(a.headDim), padded(a.valueDim), 0, static_cast<float>(a.scale), static_cast<float>(a.softCap), a.window,
          q, k, v, o, lse, mask, {}};
}

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
  if (t[8].data) call.start = *static_cast<const int32_t*>(t[8].data);
  call.sinks = t[9];
  const DType type = t[0].dtype;
  const std::string why = problem(call, type, {t + 2, t + 3, t + 4});
  if (!why.empty()) return worker.fail(("attention: " + why).c_str());
  if (type == DType::f32) forward<F32Units, float>(call, worker);
  else forward<PairUnits, bf16>(call, worker);
}

SAQR_KERNEL(attention_backward) {
  const Tensor* t = step.tensors;
  const Call call = callOf(attrs::attention_backward(step), t[6], t[7], t[8], t[4], t[5], t + 9);
  const DType type = t[0].dtype;
  std::string why = problem(call, type, {t + 1, t + 2, t + 3, t + 4, t + 6, t + 7, t + 8});
  if (call.q.rows != call.k.rows) why = "queries and keys must be the same tokens";
  if (!why.empty()) return worker.fail(("attention_backward: " + why).c_str());
  const BackwardTensors tensors{t[3], t[0], t[1], t[2]};
  if (type == DType::f32) return Backward<F32Units, float>(call, tensors, worker).run();
#if SAQR_TILES
  if (TileBackward::suits(call)) return TileBackward(call, tensors, worker).run();
#endif
  Backward<PairUnits, bf16>(call, tensors, worker).run();
}

SAQR_KERNEL(attention_sink_grad) {
  const Tensor* t = step.tensors;
  if (t[0].dtype != DType::f32 || t[3].dtype != DType::f32 || t[1].dtype != t[2].dtype || (t[4].dtype != DType::f32 && t[4].dtype != DType::bf16)) return worker.fail("attention_sink_grad: dO and o are of one type, sinks f32 or bf16, all else f32");
  if (t[1].dtype == DType::f32) sinkGrad<F32>(step, worker);
  else if (t[1].dtype == DType::bf16) sinkGrad<BF16>(step, worker);
  else worker.fail("attention_sink_grad: dO is f32 or bf16");
}
