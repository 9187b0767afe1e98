// y = a + c; y may lie where a or c does.
#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void add(const Step& step, const Worker& worker) {
  const Tensor &y = step.tensors[0], &a = step.tensors[1], &c = step.tensors[2];
  eachRun(worker, {&y, &a, &c}, [&](int64_t row, int64_t from, int64_t to) {
    auto *out = rowOf<E>(y, row), *left = rowOf<E>(a, row), *right = rowOf<E>(c, row);
    vectors(from, to, [&](int64_t i, auto n) { E::store(out + i, E::load(left + i, n) + E::load(right + i, n), n); });
  });
}

SAQR_KERNEL(add) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1, t + 2}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { add<decltype(e)>(step, worker); });
  if (!taken) worker.fail("add takes f32 or bf16, one for all");
}
