// Tokens' own rows of an embedding and columns of logits, and the gradient of the rows (op.ts). A thread has rows of its own, of the gradient
// tokens of its own, each summed in the order of the text.
#include "attrs/token-rows.hpp"
#include "elementwise.hpp"

using namespace saqr;

static SAQR_INLINE int64_t idOf(const Tensor& ids, int64_t t) { return static_cast<const int32_t*>(ids.data)[t * ids.stride]; }
static SAQR_INLINE int64_t tokenOf(const Tensor& tokens, int64_t i) { return static_cast<int64_t>(static_cast<const float*>(tokens.data)[i]); }

// which of the tokens an id is, -1: none
static int64_t placeOf(const Tensor& tokens, int64_t id) {
  for (int64_t i = 0; i < tokens.cols; i++) {
    if (tokenOf(tokens, i) == id) return i;
  }
  return -1;
}
static bool inside(const Tensor& tokens, int64_t cols) {
  for (int64_t i = 0; i < tokens.cols; i++) {
    if (tokenOf(tokens, i) < 0 || tokenOf(tokens, i) >= cols) return false;
  }
  return true;
}

template <class E>
static void copyRow(const Tensor& to, const Tensor& from, int64_t row) {
  auto* out = rowOf<E>(to, row);
  auto* in = rowOf<E>(from, row);
  if (out == in) return;
  vectors(0, to.cols, [&](int64_t c, auto n) { E::store(out + c, E::load(in + c, n), n); });
}

SAQR_KERNEL(token_rows) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1], &ids = step.tensors[2], &tokens = step.tensors[3], &rows = step.tensors[4];
  const bool typed = ids.dtype == DType::i32 && tokens.dtype == DType::f32 && (!rows.data || rows.dtype == DType::f32) && sameType({&y, &x});
  const bool taken = typed && withType<F32, BF16>(y.dtype, [&](auto e) {
    using E = decltype(e);
    const Range part = share(worker, y.rows);
    for (int64_t t = part.from; t < part.to; t++) {
      const int64_t i = placeOf(tokens, idOf(ids, t));
      if (i < 0) {
        copyRow<E>(y, x, t);
        continue;
      }
      auto* out = rowOf<E>(y, t);
      const float* in = rows.data ? rowOf<F32>(rows, i) : nullptr;
      vectors(0, y.cols, [&](int64_t c, auto n) { E::store(out + c, in ? F32::load(in + c, n) : vf{}, n); });
    }
  });
  if (!taken) worker.fail("token_rows takes f32 or bf16, i32 ids, tokens and their rows in f32");
}

SAQR_KERNEL(token_rows_grad) {
  const Tensor &dRows = step.tensors[0], &ids = step.tensors[1], &tokens = step.tensors[2], &dX = step.tensors[3];
  const bool typed = ids.dtype == DType::i32 && tokens.dtype == DType::f32 && dRows.dtype == DType::f32;
  const bool taken = typed && withType<F32, BF16>(dX.dtype, [&](auto e) {
    using E = decltype(e);
    const int64_t padding = attrs::token_rows_grad(step).padding;
    const Range part = share(worker, dRows.rows);
    for (int64_t i = part.from; i < part.to; i++) {
      float* out = rowOf<F32>(dRows, i);
      const int64_t token = tokenOf(tokens, i);
      if (token == padding) continue;
      for (int64_t t = 0; t < dX.rows; t++) {
        if (idOf(ids, t) != token) continue;
        auto* in = rowOf<E>(dX, t);
        vectors(0, dX.cols, [&](int64_t c, auto n) { F32::store(out + c, F32::load(out + c, n) + E::load(in + c, n), n); });
      }
    }
  });
  if (!taken) worker.fail("token_rows_grad takes f32 or bf16, i32 ids, tokens in f32, and adds to f32");
}

SAQR_KERNEL(token_columns) {
  const Tensor &out = step.tensors[0], &y = step.tensors[1], &tokens = step.tensors[2], &z = step.tensors[3];
  const bool typed = tokens.dtype == DType::f32 && sameType({&out, &y}) && (!z.data || z.dtype == y.dtype);
  if (typed && !inside(tokens, y.cols)) return worker.fail("token_columns takes tokens of its vocabulary: one lies outside");
  const bool taken = typed && withType<F32, BF16>(y.dtype, [&](auto e) {
    using E = decltype(e);
    const Range part = share(worker, out.rows);
    for (int64_t m = part.from; m < part.to; m++) {
      copyRow<E>(out, y, m);
      auto* row = rowOf<E>(out, m);
      for (int64_t i = 0; i < tokens.cols; i++) row[tokenOf(tokens, i)] = z.data ? rowOf<E>(z, m)[i] : E::round(0.0f);
    }
  });
  if (!taken) worker.fail("token_columns takes f32 or bf16, one for all, and tokens in f32");
}

SAQR_KERNEL(columns_of_tokens) {
  const Tensor &z = step.tensors[0], &y = step.tensors[1], &tokens = step.tensors[2];
  const bool typed = tokens.dtype == DType::f32 && sameType({&z, &y});
  if (typed && !inside(tokens, y.cols)) return worker.fail("columns_of_tokens takes tokens of its vocabulary: one lies outside");
  const bool taken = typed && withType<F32, BF16>(y.dtype, [&](auto e) {
    using E = decltype(e);
    const Range part = share(worker, z.rows);
    for (int64_t m = part.from; m < part.to; m++)
      for (int64_t i = 0; i < tokens.cols; i++) rowOf<E>(z, m)[i] = rowOf<E>(y, m)[tokenOf(tokens, i)];
  });
  if (!taken) worker.fail("columns_of_tokens takes f32 or bf16, one for both, and tokens in f32");
}
