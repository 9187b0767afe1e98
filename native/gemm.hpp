// Matrix products: c (M, N) = Σ_p a_p · b_pᵀ over one or more parts of the reduction, written by an epilogue. Operands are read in their
// stored form (f32, bf16, f16, NF4, GGUF's blocks) and laid out in panels as they are needed, so a frozen model has no second copy.
//
// In which order an element's products are added follows from the shape alone. Threads divide rows and columns, never the reduction: the
// bits don't depend on how many there are.
#pragma once
#include "gemm-decode.hpp"

namespace saqr::gemm {

// One operand: for each part a tensor, `step` apart in memory. `transposed`: the reduction runs down its rows instead of along them.
struct Side {
  const Tensor* first;
  int step;
  bool transposed;
  const Tensor& part(int p) const { return first[p * step]; }
  int64_t depth(int p) const { return transposed ? part(p).rows : part(p).cols; }
};

// y = alpha · c + bias + addend; bias (1, N) and addend (M, N) may be absent, addend may be y
struct Epilogue {
  const Tensor* y;
  const Tensor* bias;
  const Tensor* addend;
  float alpha;
};

struct Problem {
  Side a, b;  // M vectors, N vectors
  int parts;
  int64_t M, N;
  Epilogue epilogue;
  // Weights are rounded to the dtype of what they are multiplied with; those in GGUF's blocks only where the processor multiplies bf16, and then
  // not for few rows (gemv-blocks.hpp): else they are what the file says
  bool rounded(int p) const { return a.part(p).dtype == DType::bf16 && (kBf16Dot || !inBlocks(b.part(p))); }
  Form form() const;
  const char* refusal() const;  // why it can't be multiplied, or null
};

// Called by all threads; uses all of the worker's scratch, and of the memory that threads share. Returns early when the run is aborted.
// True: threads may still read what others laid out for them, so a barrier has to come before the next product.
bool multiply(const Problem& problem, Worker& worker);

}  // namespace saqr::gemm
