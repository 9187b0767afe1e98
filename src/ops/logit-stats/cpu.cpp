// Means of logits and log Σ p². A row is read twice: its largest value, then sums against it in f32 lanes, block by block, totals in f64.
#include <cmath>
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

constexpr int64_t kBlock = 2048;

template <class T>
void stats(const T* x, int64_t n, float* out) {
  const int64_t whole = n / W * W;
  vf most = set1(-INFINITY);
  for (int64_t i = 0; i < whole; i += W) most = max(loadF(x + i), most);
  float largest = maxOf(most);
  for (int64_t i = whole; i < n; i++) largest = std::fmax(largest, loadFirst(x + i, 1)[0]);
  double total = 0, once = 0, squared = 0;
  for (int64_t from = 0; from < whole; from += kBlock) {
    const int64_t to = from + kBlock < whole ? from + kBlock : whole;
    vf sum0{}, sum1{}, sum2{};  // of the logits, of 2^t and its square
    for (int64_t i = from; i < to; i += W) {
      const vf v = loadF(x + i);
      // what is below 2^−150 weighs nothing; NaN stays
      const vf p = exp2With(max(set1(-150.0f), (v - largest) * 1.44269504f), exp2Degree5);
      sum0 += v;
      sum1 += p;
      sum2 += p * p;
    }
    total += static_cast<double>(sum(sum0));
    once += static_cast<double>(sum(sum1));
    squared += static_cast<double>(sum(sum2));
  }
  for (int64_t i = whole; i < n; i++) {
    const double v = static_cast<double>(loadFirst(x + i, 1)[0]), shifted = v - static_cast<double>(largest);
    total += v;
    once += std::exp(shifted);
    squared += std::exp(2 * shifted);
  }
  out[0] = static_cast<float>(total / static_cast<double>(n));
  out[1] = static_cast<float>(std::log(squared) - 2 * std::log(once));
}

template <class T>
void run(const Step& step, Worker& worker) {
  const Tensor &to = step.tensors[0], &logits = step.tensors[1];
  const int64_t cursor = *static_cast<const int32_t*>(step.tensors[2].data);
  const int64_t left = *static_cast<const int32_t*>(step.tensors[3].data) - cursor;
  const int64_t valid = left < 0 ? 0 : left < logits.rows ? left : logits.rows;
  if (cursor < 0 || cursor + valid > to.rows) return worker.fail("logit_stats: a position lies outside");
  const Range rows = share(worker, valid);
  for (int64_t row = rows.from; row < rows.to && !worker.aborted(); row++)
    stats(static_cast<const T*>(logits.data) + row * logits.stride, logits.cols, static_cast<float*>(to.data) + (cursor + row) * to.stride);
}

}  // namespace

SAQR_KERNEL(logit_stats) {
  const DType type = step.tensors[1].dtype;
  if (type == DType::f32) run<float>(step, worker);
  else if (type == DType::bf16) run<bf16>(step, worker);
  else worker.fail("logit_stats: logits are f32 or bf16");
}
