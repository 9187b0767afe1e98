// Elements of a tensor of any stored dtype as the numbers a product multiplies.
#pragma once
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr::gemm {

// What is multiplied. `rounded`: f32 that was rounded to bf16, for processors that can't multiply bf16 themselves.
enum class Form { f32, rounded, bf16 };

bool inBlocks(const Tensor& t);  // GGUF's
bool decodable(const Tensor& t);

// Elements [from, from + count) of a row, written to `out`.
// `rounded`: to bf16 first; to bf16 they always are.
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, float* out, bool rounded);
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, bf16* out, bool rounded = true);

// whether they stand so in the tensor already
template <class E>
bool isOwn(const Tensor& t, bool rounded) {
  return sizeof(E) == 2 ? t.dtype == DType::bf16 : t.dtype == DType::f32 && !rounded;
}

}  // namespace saqr::gemm
