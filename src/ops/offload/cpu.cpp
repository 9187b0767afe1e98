// y = x. Here card and host are one: nothing gains by it, the mathematics are the same.
#include <cstring>

#include "elementwise.hpp"

using namespace saqr;

template <class E>
static void copy(const Step& step, const Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1];
  eachRun(worker, {&y, &x}, [&](int64_t row, int64_t from, int64_t to) {
    std::memcpy(rowOf<E>(y, row) + from, rowOf<E>(x, row) + from, (to - from) * sizeof(typename E::T));
  });
}

static void copyAny(const Step& step, Worker& worker, const char* refused) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { copy<decltype(e)>(step, worker); });
  if (!taken) worker.fail(refused);
}

SAQR_KERNEL(to_host) { copyAny(step, worker, "to_host takes f32 or bf16, one for both"); }
SAQR_KERNEL(from_host) { copyAny(step, worker, "from_host takes f32 or bf16, one for both"); }
