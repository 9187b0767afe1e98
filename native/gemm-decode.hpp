// Elements of a tensor of any stored dtype as the numbers a product multiplies.
#pragma once
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr::gemm {

// What is multiplied. `rounded`: f32 that was rounded to bf16, for processors that can't multiply bf16 themselves.
enum class Form { f32, rounded, bf16 };

bool decodable(const Tensor& t);

// Elements [from, from + count) of a row, written to `out`.
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, float* out, bool rounded);
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, bf16* out);

}  // namespace saqr::gemm
