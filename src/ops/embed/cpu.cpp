// Rows (or, transposed, columns) of the embedding by token id, and their gradient: a thread has channels of its own and goes through the
// tokens in order, so that no two threads meet in dW and its bits don't depend on how many there are.
#include "attrs/embed.hpp"
#include "elementwise.hpp"
#include "gemm-decode.hpp"

using namespace saqr;

static bool inVocabulary(const Tensor& ids, int64_t vocab) {
  for (int64_t t = 0; t < ids.rows; t++) {
    const int32_t id = *(static_cast<const int32_t*>(ids.data) + t * ids.stride);
    if (id < 0 || id >= vocab) return false;
  }
  return true;
}
static SAQR_INLINE int64_t idOf(const Tensor& ids, int64_t t) { return *(static_cast<const int32_t*>(ids.data) + t * ids.stride); }

// A row's beginning on its way into the cache; from there on the processor sees the pattern.
static SAQR_INLINE void fetch(const void* row) {
  for (int line = 0; line < 16; line++) __builtin_prefetch(static_cast<const char*>(row) + 64 * line);
}
static constexpr int64_t kAhead = 4;  // rows

template <class Out, class In>
static void rows(const Step& step, const Worker& worker) {
  const Tensor &x = step.tensors[0], &ids = step.tensors[1], &w = step.tensors[2];
  const Range part = share(worker, x.rows);
  for (int64_t t = part.from; t < part.to; t++) {
    auto* out = rowOf<Out>(x, t);
    auto* in = rowOf<In>(w, idOf(ids, t));
    if (t + kAhead < part.to) fetch(rowOf<In>(w, idOf(ids, t + kAhead)));
    vectors(0, x.cols, [&](int64_t i, auto n) { Out::store(out + i, In::load(in + i, n), n); });
  }
}

// rows in GGUF's blocks
template <class Out>
static void decodedRows(const Step& step, const Worker& worker) {
  const Tensor &x = step.tensors[0], &ids = step.tensors[1], &w = step.tensors[2];
  const Range part = share(worker, x.rows);
  for (int64_t t = part.from; t < part.to; t++) gemm::decode(w, idOf(ids, t), 0, x.cols, rowOf<Out>(x, t), false);
}

// w (C, V): channel by channel, so that one row of w stays near
template <class Out, class In>
static void columns(const Step& step, const Worker& worker) {
  const Tensor &x = step.tensors[0], &ids = step.tensors[1], &w = step.tensors[2];
  const Range part = share(worker, x.rows);
  for (int64_t c = 0; c < x.cols; c++) {
    auto* in = rowOf<In>(w, c);
    for (int64_t t = part.from; t < part.to; t++) rowOf<Out>(x, t)[c] = Out::round(In::value(in[idOf(ids, t)]));
  }
}

template <class E>
static void gradRows(const Step& step, const Worker& worker) {
  const Tensor &dW = step.tensors[0], &ids = step.tensors[1], &dX = step.tensors[2];
  const Range part = share(worker, dX.cols, 16);
  const int64_t padding = attrs::embed_grad(step).padding;
  for (int64_t t = 0; t < dX.rows; t++) {
    if (idOf(ids, t) == padding) continue;
    auto* in = rowOf<E>(dX, t);
    float* out = rowOf<F32>(dW, idOf(ids, t));
    if (t + kAhead < dX.rows) fetch(rowOf<F32>(dW, idOf(ids, t + kAhead)) + part.from);
    vectors(part.from, part.to, [&](int64_t i, auto n) { F32::store(out + i, F32::load(out + i, n) + E::load(in + i, n), n); });
  }
}

template <class E>
static void gradColumns(const Step& step, const Worker& worker) {
  const Tensor &dW = step.tensors[0], &ids = step.tensors[1], &dX = step.tensors[2];
  const int64_t padding = attrs::embed_grad(step).padding;
  const Range part = share(worker, dX.cols);
  for (int64_t c = part.from; c < part.to; c++) {
    float* out = rowOf<F32>(dW, c);
    for (int64_t t = 0; t < dX.rows; t++) {
      if (idOf(ids, t) != padding) out[idOf(ids, t)] += E::value(rowOf<E>(dX, t)[c]);
    }
  }
}

SAQR_KERNEL(embed) {
  const Tensor* t = step.tensors;
  const bool trans = attrs::embed(step).trans;
  if (t[1].dtype != DType::i32) return worker.fail("embed takes i32 token ids");
  if (!inVocabulary(t[1], trans ? t[2].cols : t[2].rows)) return worker.fail("embed takes token ids of its vocabulary: one lies outside");
  if (gemm::inBlocks(t[2]) && !trans && withType<F32, BF16>(t[0].dtype, [&](auto out) { decodedRows<decltype(out)>(step, worker); })) return;
  bool taken = false;
  withType<F32, BF16, F16>(t[2].dtype, [&](auto in) {
    taken = withType<F32, BF16>(t[0].dtype, [&](auto out) {
      if (trans) columns<decltype(out), decltype(in)>(step, worker);
      else rows<decltype(out), decltype(in)>(step, worker);
    });
  });
  if (!taken) worker.fail("embed takes a weight in f32, bf16, f16 or GGUF's blocks and makes f32 or bf16");
}
SAQR_KERNEL(embed_grad) {
  const Tensor* t = step.tensors;
  const bool trans = attrs::embed_grad(step).trans;
  if (t[1].dtype != DType::i32) return worker.fail("embed_grad takes i32 token ids");
  if (!inVocabulary(t[1], trans ? t[0].cols : t[0].rows)) return worker.fail("embed_grad takes token ids of its vocabulary: one lies outside");
  bool taken = t[0].dtype == DType::f32 && withType<F32, BF16>(t[2].dtype, [&](auto e) {
    if (trans) gradColumns<decltype(e)>(step, worker);
    else gradRows<decltype(e)>(step, worker);
  });
  if (!taken) worker.fail("embed_grad takes f32 or bf16 and adds to f32");
}
