// y = x in another type.
#include "elementwise.hpp"

using namespace saqr;

template <class Out, class In>
static void cast(const Step& step, const Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1];
  eachRun(worker, {&y, &x}, [&](int64_t row, int64_t from, int64_t to) {
    auto* out = rowOf<Out>(y, row);
    auto* in = rowOf<In>(x, row);
    vectors(from, to, [&](int64_t i, auto n) { Out::store(out + i, In::load(in + i, n), n); });
  });
}

SAQR_KERNEL(cast) {
  bool taken = false;
  withType<F32, BF16, F16>(step.tensors[1].dtype, [&](auto in) {
    taken = withType<F32, BF16>(step.tensors[0].dtype, [&](auto out) { cast<decltype(out), decltype(in)>(step, worker); });
  });
  if (!taken) worker.fail("cast takes f32, bf16 or f16 and makes f32 or bf16");
}
