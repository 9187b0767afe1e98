// Products of a mixture's experts (op.ts): one product an expert, by the engine's own (gemm.hpp), all threads at each. Experts' results lie
// apart, so nobody waits between two, but where threads share what they laid out.
#include "attrs/grouped-product.hpp"
#include "gemm-decode.hpp"
#include "gemm.hpp"

namespace saqr {

constexpr int kMostParts = 16;

static int32_t offsetAt(const Tensor& offsets, int64_t e) { return static_cast<const int32_t*>(offsets.data)[e * offsets.stride]; }

// rows [from, from + rows) of t, which isn't in GGUF's blocks
static Tensor rowsOf(const Tensor& t, int64_t from, int64_t rows) {
  Tensor view = t;
  view.rows = rows;
  const int64_t element = from * t.stride;
  switch (t.dtype) {
    case DType::nf4: view.data = static_cast<char*>(t.data) + element / 2, view.firstBlock += static_cast<int32_t>(element / t.quant->blocksize); break;
    case DType::f32: case DType::i32: view.data = static_cast<char*>(t.data) + element * 4; break;
    case DType::bf16: case DType::f16: view.data = static_cast<char*>(t.data) + element * 2; break;
    default: view.data = static_cast<char*>(t.data) + element;
  }
  return view;
}

// Offsets that begin at 0, never fall and end with the last row.
static const char* wrongOffsets(const Tensor& offsets, int64_t rows) {
  if (offsets.dtype != DType::i32 || offsets.rows < 2) return "a grouped product takes i32 offsets";
  for (int64_t e = 0; e + 1 < offsets.rows; e++) {
    if (offsetAt(offsets, e) > offsetAt(offsets, e + 1)) return "a grouped product's offsets fall";
  }
  const bool whole = offsetAt(offsets, 0) == 0 && offsetAt(offsets, offsets.rows - 1) == rows;
  return whole ? nullptr : "a grouped product's offsets don't cover its rows";
}

SAQR_KERNEL(grouped_product) {
  const Tensor &y = step.tensors[0], &offsets = step.tensors[1], *in = step.tensors + 2;
  const attrs::grouped_product attrs(step);
  const int parts = (step.inputs - 1) / 2;
  const int64_t experts = offsets.rows - 1;
  if (parts > kMostParts) return worker.fail("a grouped product takes up to 16 parts");
  if (const char* why = wrongOffsets(offsets, y.rows)) return worker.fail(why);
  for (int p = 0; p < parts; p++) {
    const Tensor& w = in[2 * p + 1];
    if (gemm::inBlocks(w)) return worker.fail("a grouped product takes no weight in GGUF's blocks: dequantise it before");
    if (w.rows % experts) return worker.fail("a grouped product's weight has as many rows for each expert");
    if (w.dtype == DType::nf4 && w.rows / experts * w.cols % w.quant->blocksize)
      return worker.fail("a grouped product's 4-bit weight has whole blocks for each expert");
  }
  for (int64_t e = 0; e < experts && !worker.aborted(); e++) {
    const int64_t from = offsetAt(offsets, e), rows = offsetAt(offsets, e + 1) - from;
    if (rows == 0) continue;
    Tensor operands[2 * kMostParts];
    for (int p = 0; p < parts; p++) {
      const Tensor& w = in[2 * p + 1];
      operands[2 * p] = rowsOf(in[2 * p], from, rows);
      operands[2 * p + 1] = rowsOf(w, e * (w.rows / experts), w.rows / experts);
    }
    const Tensor result = rowsOf(y, from, rows);
    const gemm::Epilogue epilogue{&result, nullptr, nullptr, static_cast<float>(attrs.alpha)};
    const gemm::Problem problem{{operands, 2, false}, {operands + 1, 2, attrs.trans}, parts, rows, y.cols, epilogue};
    if (const char* why = problem.refusal()) return worker.fail(why);
    if (gemm::multiply(problem, worker)) worker.barrier();
  }
}

SAQR_KERNEL(grouped_weight_grad) {
  const Tensor &dW = step.tensors[0], &offsets = step.tensors[1], &dY = step.tensors[2], &x = step.tensors[3];
  const float alpha = static_cast<float>(attrs::grouped_weight_grad(step).alpha);
  const int64_t experts = offsets.rows - 1;
  if (const char* why = wrongOffsets(offsets, dY.rows)) return worker.fail(why);
  if (dW.rows % experts) return worker.fail("a grouped product's weight has as many rows for each expert");
  for (int64_t e = 0; e < experts && !worker.aborted(); e++) {
    const int64_t from = offsetAt(offsets, e), rows = offsetAt(offsets, e + 1) - from;
    if (rows == 0) continue;
    const Tensor d = rowsOf(dY, from, rows), in = rowsOf(x, from, rows), sum = rowsOf(dW, e * (dW.rows / experts), dW.rows / experts);
    const gemm::Epilogue epilogue{&sum, nullptr, &sum, alpha};
    const gemm::Problem problem{{&d, 1, true}, {&in, 1, true}, 1, sum.rows, sum.cols, epilogue};
    if (const char* why = problem.refusal()) return worker.fail(why);
    if (gemm::multiply(problem, worker)) worker.barrier();
  }
}

}  // namespace saqr
