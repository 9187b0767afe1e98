// How evenly experts are used, and the loss that asks for it (op.ts). Tokens are summed in blocks, then the blocks in order: both cut by the
// shape alone.
#include "attrs/load-balance.hpp"
#include "softmax.hpp"

using namespace saqr;

static SAQR_INLINE int32_t expertAt(const Tensor& experts, int64_t t, int64_t j) {
  return static_cast<const int32_t*>(experts.data)[t * experts.stride + j];
}

template <class E>
static void load(const Step& step, Worker& worker) {
  const Tensor &out = step.tensors[0], &logits = step.tensors[1], &experts = step.tensors[2], &rows = step.tensors[3];
  const int64_t n = logits.cols, G = rows.cols, size = 2 * G * n;
  const int64_t room = static_cast<int64_t>(kScratchBytes / sizeof(float)) / size, least = (logits.rows + room - 1) / room;
  const int64_t height = least > 32 ? least : 32, blocks = (logits.rows + height - 1) / height;
  float* sums = reinterpret_cast<float*>(sharedScratch(worker));
  const Range part = share(worker, blocks);
  for (int64_t b = part.from; b < part.to; b++) {
    float* block = sums + b * size;
    memset(block, 0, size * sizeof(float));
    for (int64_t t = b * height; t < logits.rows && t < (b + 1) * height; t++) {
      float p[kShortRow];
      softmax<E>(rowOf<E>(logits, t), n, p);
      for (int64_t g = 0; g < G; g++) {
        const float count = rowOf<F32>(rows, t)[g];
        if (count == 0) continue;
        for (int64_t j = 0; j < experts.cols; j++) block[g * n + expertAt(experts, t, j)] += count;
        float* probabilities = block + (G + g) * n;
        vectors(0, n, [&](int64_t i, auto k) { F32::store(probabilities + i, F32::load(probabilities + i, k) + count * F32::load(p + i, k), k); });
      }
    }
  }
  worker.barrier();
  const Range elements = share(worker, size);
  for (int64_t i = elements.from; i < elements.to; i++) {
    float sum = 0;
    for (int64_t b = 0; b < blocks; b++) sum += sums[b * size + i];
    rowOf<F32>(out, i / n)[i % n] = sum;
  }
}

SAQR_KERNEL(expert_load) {
  const Tensor &out = step.tensors[0], &logits = step.tensors[1], &experts = step.tensors[2], &rows = step.tensors[3];
  if (out.dtype != DType::f32 || rows.dtype != DType::f32 || experts.dtype != DType::i32)
    return worker.fail("expert_load takes i32 experts and f32 rows, and gives f32");
  if (logits.cols > kShortRow || 2 * rows.cols * logits.cols * sizeof(float) > kScratchBytes)
    return worker.fail("expert_load takes up to 4096 experts, and as many micro-batches as its scratch holds");
  if (!withType<F32, BF16>(logits.dtype, [&](auto e) { load<decltype(e)>(step, worker); }))
    worker.fail("expert_load takes logits in f32 or bf16");
}

template <class E>
static void loadBackward(const Step& step, const Worker& worker) {
  const Tensor &dLogits = step.tensors[0], &dLoad = step.tensors[1], &logits = step.tensors[2], &rows = step.tensors[3];
  const int64_t n = logits.cols, G = rows.cols;
  const Range part = share(worker, logits.rows);
  for (int64_t t = part.from; t < part.to; t++) {
    float p[kShortRow], v[kShortRow];
    softmax<E>(rowOf<E>(logits, t), n, p);
    vectors(0, n, [&](int64_t i, auto k) {
      vf sum{};
      for (int64_t g = 0; g < G; g++) sum += rowOf<F32>(rows, t)[g] * F32::load(rowOf<F32>(dLoad, G + g) + i, k);
      F32::store(v + i, sum, k);
    });
    const vf mean = set1(total(n, [&](int64_t i, auto k) { return F32::load(p + i, k) * F32::load(v + i, k); }));
    auto* out = rowOf<E>(dLogits, t);
    vectors(0, n, [&](int64_t i, auto k) { E::store(out + i, F32::load(p + i, k) * (F32::load(v + i, k) - mean), k); });
  }
}

SAQR_KERNEL(expert_load_backward) {
  const Tensor &dLogits = step.tensors[0], &dLoad = step.tensors[1], &logits = step.tensors[2], &rows = step.tensors[3];
  if (dLoad.dtype != DType::f32 || rows.dtype != DType::f32 || dLogits.dtype != logits.dtype)
    return worker.fail("expert_load_backward takes an f32 load and f32 rows, and gives dLogits of the logits' type");
  if (logits.cols > kShortRow) return worker.fail("expert_load takes up to 4096 experts");
  if (!withType<F32, BF16>(logits.dtype, [&](auto e) { loadBackward<decltype(e)>(step, worker); }))
    worker.fail("expert_load takes logits in f32 or bf16");
}

// A few thousand numbers: one thread's work.
struct Pooled {
  const Tensor* loads;
  int64_t layers;
  double sum(int64_t row, int64_t e) const {
    double all = 0;
    for (int64_t l = 0; l < layers; l++) all += rowOf<F32>(loads[l], row)[e];
    return all;
  }
  // n_g² / E, or 0
  double share(int64_t g, int64_t k) const {
    double n = 0;
    for (int64_t e = 0; e < loads[0].cols; e++) n += sum(g, e);
    return n / k * (n / k) / loads[0].cols;
  }
};

static bool allF32(const Step& step) {
  for (int i = 0; i < step.outputs + step.inputs; i++) {
    if (step.tensors[i].dtype != DType::f32) return false;
  }
  return true;
}

SAQR_KERNEL(balance_loss) {
  const Tensor &loss = step.tensors[0], &counts = step.tensors[1];
  if (!allF32(step)) return worker.fail("balance_loss takes f32");
  if (worker.id) return;
  const Pooled pooled{step.tensors + 2, step.inputs};
  const int64_t E = counts.cols, G = loss.cols;
  for (int64_t g = 0; g < G; g++) {
    double sum = 0;
    for (int64_t e = 0; e < E; e++) sum += pooled.sum(g, e) * pooled.sum(G + g, e);
    const double share = pooled.share(g, attrs::balance_loss(step).k);
    rowOf<F32>(loss, 0)[g] = share > 0 ? static_cast<float>(sum / share) : 0.0f;
  }
  for (int64_t l = 0; l < counts.rows; l++) {
    for (int64_t e = 0; e < E; e++) {
      float sum = 0;
      for (int64_t g = 0; g < G; g++) sum += rowOf<F32>(pooled.loads[l], g)[e];
      rowOf<F32>(counts, l)[e] = sum;
    }
  }
}

SAQR_KERNEL(balance_loss_backward) {
  const Tensor &dLoad = step.tensors[0], &dLoss = step.tensors[1];
  if (!allF32(step)) return worker.fail("balance_loss_backward takes f32");
  if (worker.id) return;
  const Pooled pooled{step.tensors + 2, step.inputs - 1};
  const int64_t E = dLoad.cols, G = dLoss.cols;
  for (int64_t g = 0; g < G; g++) {
    const double share = pooled.share(g, attrs::balance_loss_backward(step).k);
    const double d = share > 0 ? rowOf<F32>(dLoss, 0)[g] / share : 0;
    for (int64_t e = 0; e < E; e++) {
      rowOf<F32>(dLoad, g)[e] = 0;
      rowOf<F32>(dLoad, G + g)[e] = static_cast<float>(d * pooled.sum(g, e));
    }
  }
}
