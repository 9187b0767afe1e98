#pragma once
#include <cstdint>

namespace saqr {
// The values of n weights in ggml's blocks of type `type` (its ids: those of ggml-blocks.hpp, 0 F32, 3 Q4_1, 39 MXFP4), as f32 or, rounded
// once, as bf16. False: no such type.
bool valuesOfGgml(const uint8_t* blocks, int64_t n, int type, bool toBf16, void* out, int threads);
// Lines of whole heads of `lines`, `line` bytes each, in the order (0, half, 1, half + 1 …): from line `from` on in the order (0, 1 … half, half + 1 …).
void unrotate(const uint8_t* stored, uint8_t* out, int64_t bytes, int64_t lines, int64_t line, int64_t from);
}  // namespace saqr
