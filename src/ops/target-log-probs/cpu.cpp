// Scores of targets and their gradient. A row of logits is read in blocks that stay in L1: each block's largest value first, then its
// exponentials against the largest so far (sums are rescaled when that grows); block sums in f32 lanes, their totals in f64.
// Gradients at a target are computed in f64 apart: w · (p − 1) cancels where the model is sure.
#include <cmath>
#include <cstring>
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

constexpr int64_t kBlock = 2048;
constexpr double kLog2e = 1.4426950408889634;

// the arguments of both kernels, from `logits` on
struct Head {
  Tensor logits, entryStart, entryTarget, entryWeight;
  int64_t cursor, valid;  // the chunk's first position; its rows that are positions
  int32_t begin(int64_t row) const { return static_cast<const int32_t*>(entryStart.data)[(cursor + row) * entryStart.stride]; }
  int32_t end(int64_t row) const { return begin(row + 1); }
  int32_t target(int64_t entry) const { return static_cast<const int32_t*>(entryTarget.data)[entry * entryTarget.stride]; }
  double weight(int64_t entry) const { return static_cast<const float*>(entryWeight.data)[entry * entryWeight.stride]; }
};

Head headOf(const Tensor* inputs) {
  Head head{inputs[0], inputs[1], inputs[2], inputs[3], *static_cast<const int32_t*>(inputs[4].data), 0};
  const int64_t left = *static_cast<const int32_t*>(inputs[5].data) - head.cursor;
  head.valid = left < 0 ? 0 : left < head.logits.rows ? left : head.logits.rows;
  return head;
}

// false when an entry points outside its tensors
bool inside(const Head& head, int64_t row) {
  if (head.cursor < 0 || head.cursor + row + 1 >= head.entryStart.rows) return false;
  const int64_t from = head.begin(row), to = head.end(row);
  if (from < 0 || to < from || to > head.entryTarget.rows) return false;
  for (int64_t e = from; e < to; e++) {
    if (head.target(e) < 0 || head.target(e) >= head.logits.cols) return false;
  }
  return true;
}

// 2^t of a softmax: t is at most about 0 (−∞ gives 0, NaN stays NaN)
SAQR_INLINE vf weightOf(vf t) { return exp2With(max(set1(-150.0f), t), exp2Degree5); }

struct Row {
  float largest;
  double lse, entropy;
};

// with t = (x − largest) · log2 e:  Σ 2^t and Σ t · 2^t, from which both follow
template <class T>
Row softmaxOf(const T* x, int64_t n) {
  float largest = -INFINITY;
  double total = 0, weighted = 0;
  for (int64_t from = 0; from < n; from += kBlock) {
    const int64_t to = from + kBlock < n ? from + kBlock : n, whole = from + (to - from) / (2 * W) * (2 * W);
    vf top = set1(-INFINITY), top2 = top;
    for (int64_t i = from; i < whole; i += 2 * W) {
      top = max(loadF(x + i), top);
      top2 = max(loadF(x + i + W), top2);
    }
    float here = maxOf(max(top, top2));
    for (int64_t i = whole; i < to; i++) here = std::fmax(here, loadFirst(x + i, 1)[0]);
    if (here > largest) {
      const double shift = (static_cast<double>(largest) - static_cast<double>(here)) * kLog2e;
      if (total > 0) {
        weighted = std::exp2(shift) * (weighted + shift * total);
        total *= std::exp2(shift);
      }
      largest = here;
    }
    // a logit of −∞ weighs nothing, and 0 · −∞ must not be NaN; what is NaN stays so
    auto exponent = [&](vf v) { return max(set1(-150.0f), (v - largest) * static_cast<float>(kLog2e)); };
    vf sum0{}, sum1{}, weighted0{}, weighted1{};
    for (int64_t i = from; i < whole; i += 2 * W) {
      const vf t0 = exponent(loadF(x + i)), t1 = exponent(loadF(x + i + W));
      const vf w0 = weightOf(t0), w1 = weightOf(t1);
      sum0 += w0;
      sum1 += w1;
      weighted0 += t0 * w0;
      weighted1 += t1 * w1;
    }
    for (int64_t i = whole; i < to; i++) {
      double t = (static_cast<double>(loadFirst(x + i, 1)[0]) - static_cast<double>(largest)) * kLog2e;
      if (t < -150) t = -150;
      total += std::exp2(t);
      weighted += t * std::exp2(t);
    }
    total += static_cast<double>(sum(sum0 + sum1));
    weighted += static_cast<double>(sum(weighted0 + weighted1));
  }
  return {largest, static_cast<double>(largest) + std::log(total), std::log(total) - weighted / total / kLog2e};
}

double valueAt(const float* x) { return *x; }
double valueAt(const bf16* x) { return toFloat(*x); }
void put(float* x, double v) { *x = static_cast<float>(v); }
void put(bf16* x, double v) { *x = toBf16(static_cast<float>(v)); }

// is x[target] the largest, and the first of those that are?
template <class T>
bool isLikeliest(const T* x, int64_t target, float largest) {
  if (valueAt(x + target) < static_cast<double>(largest)) return false;
  for (int64_t i = 0; i < target; i++) {
    if (valueAt(x + i) >= static_cast<double>(largest)) return false;
  }
  return true;
}

// dx = factor · softmax(x); dx may be x
template <class T>
void scaledSoftmax(T* dx, const T* x, int64_t n, double lse, double factor) {
  const float shift = static_cast<float>(lse), scale = static_cast<float>(factor * std::exp(static_cast<double>(shift) - lse));  // what the f32 leaves of lse
  auto value = [&](vf v) { return weightOf((v - shift) * static_cast<float>(kLog2e)) * scale; };
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const vf a = value(loadF(x + i)), b = value(loadF(x + i + W));
    storeF(dx + i, a);
    storeF(dx + i + W, b);
  }
  for (; i < n; i += W) {
    const int count = static_cast<int>(n - i < W ? n - i : W);
    storeFirst(dx + i, value(loadFirst(x + i, count)), count);
  }
}

// A few targets a position as a rule: what dlogits becomes there is kept aside while the row is overwritten.
constexpr int64_t kAside = kScratchBytes / sizeof(double);

template <class T>
void gradientOfRow(const Head& head, int64_t row, double lse, double lossScale, T* dx, double* aside) {
  const int64_t n = head.logits.cols, from = head.begin(row), to = head.end(row);
  const T* x = static_cast<const T*>(head.logits.data) + row * head.logits.stride;
  double weights = 0;
  for (int64_t e = from; e < to; e++) weights += head.weight(e);
  for (int64_t e = from; e < to; e++) {
    double own = 0;  // all entries of the same target
    for (int64_t other = from; other < to; other++) own += head.target(other) == head.target(e) ? head.weight(other) : 0;
    const double p = std::exp(valueAt(x + head.target(e)) - lse), rest = -std::expm1(valueAt(x + head.target(e)) - lse);
    aside[e - from] = lossScale * ((weights - own) * p - own * rest);
  }
  scaledSoftmax(dx, x, n, lse, lossScale * weights);
  for (int64_t e = from; e < to; e++) put(dx + head.target(e), aside[e - from]);
}

template <class T>
void run(const Head& head, const Tensor& scores, const Tensor* dLogits, double lossScale, Worker& worker) {
  const Range rows = share(worker, head.valid);
  for (int64_t row = rows.from; row < rows.to && !worker.aborted(); row++) {
    if (!inside(head, row)) return worker.fail("target_log_probs: an entry or its target lies outside");
    const T* x = static_cast<const T*>(head.logits.data) + row * head.logits.stride;
    T* dx = dLogits ? static_cast<T*>(dLogits->data) + row * dLogits->stride : nullptr;
    const int64_t from = head.begin(row), to = head.end(row);
    if (to - from > kAside) return worker.fail("target_log_probs: more targets at one position than its scratch holds");
    if (from == to) {
      if (dx) memset(dx, 0, head.logits.cols * sizeof(T));
      continue;
    }
    const Row softmax = softmaxOf(x, head.logits.cols);
    for (int64_t e = from; e < to; e++) {
      float* score = static_cast<float*>(scores.data) + e * scores.stride;
      score[0] = static_cast<float>(valueAt(x + head.target(e)) - softmax.lse);
      score[1] = static_cast<float>(softmax.entropy);
      score[2] = isLikeliest(x, head.target(e), softmax.largest) ? 1.0f : 0.0f;
    }
    if (dx) gradientOfRow(head, row, softmax.lse, lossScale, dx, reinterpret_cast<double*>(worker.scratch));
  }
  if (!dLogits) return;
  const Range rest = share(worker, head.logits.rows - head.valid);
  for (int64_t row = head.valid + rest.from; row < head.valid + rest.to; row++) {
    memset(static_cast<T*>(dLogits->data) + row * dLogits->stride, 0, head.logits.cols * sizeof(T));
  }
}

}  // namespace

SAQR_KERNEL(target_log_probs) {
  const Head head = headOf(step.tensors + 1);
  if (head.logits.dtype == DType::f32) run<float>(head, step.tensors[0], nullptr, 0, worker);
  else if (head.logits.dtype == DType::bf16) run<bf16>(head, step.tensors[0], nullptr, 0, worker);
  else worker.fail("target_log_probs: logits are f32 or bf16");
}

SAQR_KERNEL(target_log_probs_backward) {
  const Head head = headOf(step.tensors + 2);
  const Tensor& dLogits = step.tensors[1];
  const double lossScale = static_cast<double>(*static_cast<const float*>(step.tensors[9].data));
  if (head.logits.dtype != dLogits.dtype) worker.fail("target_log_probs_backward: logits and their gradient are of one type");
  else if (head.logits.dtype == DType::f32) run<float>(head, step.tensors[0], &dLogits, lossScale, worker);
  else if (head.logits.dtype == DType::bf16) run<bf16>(head, step.tensors[0], &dLogits, lossScale, worker);
  else worker.fail("target_log_probs_backward: logits are f32 or bf16");
}
