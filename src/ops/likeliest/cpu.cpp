// The first of the largest logits of a row: the largest, lane by lane, then where it first stands. NaN is no number that anything is larger than: it is looked for apart.
#include <cmath>
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

template <class T>
int32_t likeliest(const T* x, int64_t n) {
  const int64_t whole = n / W * W;
  vf most = set1(-INFINITY), sound{};  // 0 · x is NaN for NaN and ∞: no lane of the sum is a number any more
  for (int64_t i = 0; i < whole; i += W) {
    const vf v = loadF(x + i);
    most = max(v, most);
    // −∞ is a logit of what can't come; where one of them is NaN, max gives the second
    sound += max(set1(-3e38f), v) * 0.0f;
  }
  float largest = maxOf(most);
  for (int64_t i = whole; i < n; i++) {
    const float v = loadFirst(x + i, 1)[0];
    if (std::isnan(v)) return -1;
    largest = std::fmax(largest, v);
  }
  if (!std::isfinite(largest) || std::isnan(sum(sound))) return -1;
  for (int64_t i = 0; i < whole; i += W) {
    const vf v = loadF(x + i);
    if (maxOf(v) < largest) continue;
    for (int64_t k = 0; k < W; k++)
      if (v[k] == largest) return static_cast<int32_t>(i + k);
  }
  for (int64_t i = whole; i < n; i++)
    if (loadFirst(x + i, 1)[0] == largest) return static_cast<int32_t>(i);
  return -1;
}

template <class T>
void run(const Step& step, Worker& worker) {
  const Tensor &ids = step.tensors[0], &logits = step.tensors[1];
  const Range rows = share(worker, logits.rows);
  for (int64_t row = rows.from; row < rows.to && !worker.aborted(); row++)
    static_cast<int32_t*>(ids.data)[row * ids.stride] = likeliest(static_cast<const T*>(logits.data) + row * logits.stride, logits.cols);
}

}  // namespace

SAQR_KERNEL(likeliest) {
  const DType type = step.tensors[1].dtype;
  if (type == DType::f32) run<float>(step, worker);
  else if (type == DType::bf16) run<bf16>(step, worker);
  else worker.fail("likeliest: logits are f32 or bf16");
}
