#pragma once
#include <cstdint>

namespace saqr {
// The values of n weights in ggml's blocks of type `type` (its ids: those of ggml-blocks.hpp, 0 F32, 3 Q4_1, 39 MXFP4), as f32 or, rounded
// once, as bf16. False: no such type.
bool valuesOfGgml(const uint8_t* blocks, int64_t n, int type, bool toBf16, void* out, int threads);
}  // namespace saqr
