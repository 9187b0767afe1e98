// Tokens to their experts and back (op.ts). The sort counts: each thread its share of the slots, then each puts its own where those before end.
#include "attrs/dispatch.hpp"
#include "elementwise.hpp"

using namespace saqr;

constexpr int64_t kMostExperts = 4096;

static SAQR_INLINE int32_t& at(const Tensor& t, int64_t row, int64_t col = 0) { return static_cast<int32_t*>(t.data)[row * t.stride + col]; }

SAQR_KERNEL(dispatch) {
  const Tensor &offsets = step.tensors[0], &order = step.tensors[1], &places = step.tensors[2], &chosen = step.tensors[3];
  for (int i = 0; i < 4; i++) {
    if (step.tensors[i].dtype != DType::i32) return worker.fail("dispatch takes and gives i32");
  }
  const int64_t E = attrs::dispatch(step).experts, k = chosen.cols;
  if (E > kMostExperts || E * worker.count * sizeof(int32_t) > kScratchBytes) return worker.fail("dispatch takes up to 4096 experts");
  int32_t* counts = reinterpret_cast<int32_t*>(sharedScratch(worker));  // (threads, E)
  int32_t* own = counts + worker.id * E;
  const Range part = share(worker, chosen.rows);
  memset(own, 0, E * sizeof(int32_t));
  for (int64_t t = part.from; t < part.to; t++) {
    for (int64_t j = 0; j < k; j++) {
      const int32_t e = at(chosen, t, j);
      if (e < 0 || e >= E) return worker.fail("dispatch takes experts that there are: one lies outside");
      own[e]++;
    }
  }
  worker.barrier();
  if (worker.aborted()) return;
  int32_t next[kMostExperts];  // where this thread's next slot of an expert goes
  int32_t row = 0;
  for (int64_t e = 0; e < E; e++) {
    if (worker.id == 0) at(offsets, e) = row;
    for (int i = 0; i < worker.count; i++) {
      if (i == worker.id) next[e] = row;
      row += counts[i * E + e];
    }
  }
  if (worker.id == 0) at(offsets, E) = row;
  for (int64_t t = part.from; t < part.to; t++) {
    for (int64_t j = 0; j < k; j++) {
      const int32_t place = next[at(chosen, t, j)]++;
      at(order, place) = static_cast<int32_t>(t * k + j);
      at(places, t, j) = place;
    }
  }
}

SAQR_KERNEL(spread) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1], &order = step.tensors[2], &places = step.tensors[3];
  const size_t size = elementBytes(x.dtype);
  if (!size || y.dtype != x.dtype || order.dtype != DType::i32) return worker.fail("spread takes f32, bf16, f16 or i32, and an i32 order");
  const Range part = share(worker, y.rows);
  for (int64_t s = part.from; s < part.to; s++) {
    const int64_t t = at(order, s) / places.cols;
    memcpy(static_cast<char*>(y.data) + s * y.stride * size, static_cast<const char*>(x.data) + t * x.stride * size, x.cols * size);
  }
}

SAQR_KERNEL(combine) {
  const Tensor &y = step.tensors[0], &rows = step.tensors[1], &places = step.tensors[3];
  if (y.dtype != rows.dtype || places.dtype != DType::i32) return worker.fail("combine takes rows and gives sums of one type, by i32 places");
  const bool taken = withType<F32, BF16>(rows.dtype, [&](auto e) {
    using E = decltype(e);
    const Range part = share(worker, y.rows);
    for (int64_t t = part.from; t < part.to; t++) {
      auto* out = rowOf<E>(y, t);
      vectors(0, y.cols, [&](int64_t i, auto n) {
        vf sum{};
        for (int64_t j = 0; j < places.cols; j++) sum += E::load(rowOf<E>(rows, at(places, t, j)) + i, n);
        E::store(out + i, sum, n);
      });
    }
  });
  if (!taken) worker.fail("combine takes f32 or bf16");
}
