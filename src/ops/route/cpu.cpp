// Routers: scores of a token's E experts, which k it goes to, how much of each (op.ts). A token is one thread's.
#include "attrs/route.hpp"
#include <cmath>
#include "softmax.hpp"

using namespace saqr;

template <class E, class A>
static void scoresOf(const typename E::T* logits, int64_t n, const A& a, float* s) {
  if (!a.sigmoid) return softmax<E>(logits, n, s);
  vectors(0, n, [&](int64_t i, auto k) { F32::store(s + i, sigmoid(E::load(logits + i, k)), k); });
}

// The largest of n that isn't taken, of equal ones the lowest index; one not taken also where none compares (NaN).
static int64_t largest(const float* values, const bool* taken, int64_t n) {
  int64_t best = -1;
  for (int64_t i = 0; i < n; i++) {
    if (!taken[i] && (best < 0 || values[i] > values[best])) best = i;
  }
  return best;
}

// taken[e]: e's group isn't one of those kept
template <class A>
static void leaveGroupsOut(const float* choice, int64_t n, const A& a, bool* taken) {
  const int64_t groups = a.groups, size = n / groups;
  float score[kShortRow];
  bool kept[kShortRow] = {};
  for (int64_t g = 0; g < groups; g++) {
    bool counted[kShortRow] = {};
    score[g] = 0;
    for (int64_t i = 0; i < a.groupBest && i < size; i++) {
      const int64_t best = largest(choice + g * size, counted, size);
      score[g] += choice[g * size + best], counted[best] = true;
    }
  }
  for (int64_t i = 0; i < a.keptGroups; i++) kept[largest(score, kept, groups)] = true;
  for (int64_t e = 0; e < n; e++) taken[e] = !kept[e / size];
}

template <class E>
static void forward(const Step& step, const Worker& worker) {
  const Tensor &weights = step.tensors[0], &experts = step.tensors[1], &logits = step.tensors[2], &bias = step.tensors[3];
  const attrs::route a(step);
  const int64_t n = logits.cols, k = a.k;
  const Range part = share(worker, logits.rows);
  for (int64_t t = part.from; t < part.to; t++) {
    float s[kShortRow], choice[kShortRow];
    bool taken[kShortRow] = {};
    const auto* row = rowOf<E>(logits, t);
    scoresOf<E>(row, n, a, s);
    const bool byLogit = !a.sigmoid && !bias.data && a.groups == 1;
    for (int64_t e = 0; e < n; e++) choice[e] = byLogit ? E::value(row[e]) : s[e] + (bias.data ? rowOf<F32>(bias, 0)[e] : 0.0f);
    if (a.groups > 1) leaveGroupsOut(choice, n, a, taken);
    float sum = static_cast<float>(a.epsilon);
    for (int64_t j = 0; j < k; j++) {
      const int64_t e = largest(choice, taken, n);
      taken[e] = true;
      static_cast<int32_t*>(experts.data)[t * experts.stride + j] = static_cast<int32_t>(e);
      rowOf<F32>(weights, t)[j] = s[e];
      sum += s[e];
    }
    const float scale = static_cast<float>(a.scale);
    for (int64_t j = 0; j < k; j++) {
      float& w = rowOf<F32>(weights, t)[j];
      w = a.renormalise ? scale * (w / sum) : scale * w;
    }
  }
}

SAQR_KERNEL(route) {
  const Tensor &weights = step.tensors[0], &experts = step.tensors[1], &logits = step.tensors[2], &bias = step.tensors[3];
  const attrs::route a(step);
  if (weights.dtype != DType::f32 || experts.dtype != DType::i32 || (bias.data && bias.dtype != DType::f32))
    return worker.fail("route gives f32 weights and i32 experts, and takes an f32 bias");
  if (logits.cols > kShortRow) return worker.fail("route takes up to 4096 experts");
  if (a.groups < 1 || logits.cols % a.groups || a.keptGroups < 1 || a.keptGroups > a.groups || a.k < 1 || a.k > logits.cols / a.groups * a.keptGroups)
    return worker.fail("route takes groups of one size, and as many of them as k experts need");
  if (!withType<F32, BF16>(logits.dtype, [&](auto e) { forward<decltype(e)>(step, worker); }))
    worker.fail("route takes logits in f32 or bf16");
}

template <class E>
static void backward(const Step& step, const Worker& worker) {
  const Tensor &dLogits = step.tensors[0], &dWeights = step.tensors[1], &logits = step.tensors[2], &experts = step.tensors[3];
  const attrs::route_backward a(step);
  const int64_t n = logits.cols, k = a.k;
  const Range part = share(worker, logits.rows);
  for (int64_t t = part.from; t < part.to; t++) {
    float s[kShortRow], ds[kShortRow] = {};
    scoresOf<E>(rowOf<E>(logits, t), n, a, s);
    const int32_t* chosen = static_cast<const int32_t*>(experts.data) + t * experts.stride;
    const float* g = rowOf<F32>(dWeights, t);
    float sum = static_cast<float>(a.epsilon), shared = 0, mean = 0;
    for (int64_t j = 0; j < k; j++) sum += s[chosen[j]], shared += g[j] * s[chosen[j]];
    if (!a.renormalise) sum = 1, shared = 0;
    shared /= sum;
    for (int64_t j = 0; j < k; j++) {
      const float d = static_cast<float>(a.scale) * (g[j] - shared) / sum;
      ds[chosen[j]] = d;
      mean += d * s[chosen[j]];
    }
    auto* out = rowOf<E>(dLogits, t);
    const vf middle = set1(mean);
    vectors(0, n, [&](int64_t i, auto count) {
      const vf score = F32::load(s + i, count), d = F32::load(ds + i, count);
      E::store(out + i, a.sigmoid ? d * score * (1.0f - score) : score * (d - middle), count);
    });
  }
}

SAQR_KERNEL(route_backward) {
  const Tensor &dLogits = step.tensors[0], &dWeights = step.tensors[1], &logits = step.tensors[2], &experts = step.tensors[3];
  if (dWeights.dtype != DType::f32 || experts.dtype != DType::i32 || dLogits.dtype != logits.dtype)
    return worker.fail("route_backward takes f32 dWeights and i32 experts, and gives dLogits of the logits' type");
  if (logits.cols > kShortRow) return worker.fail("route takes up to 4096 experts");
  if (!withType<F32, BF16>(logits.dtype, [&](auto e) { backward<decltype(e)>(step, worker); }))
    worker.fail("route takes logits in f32 or bf16");
}
