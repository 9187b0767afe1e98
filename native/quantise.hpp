#pragma once
#include <cstdint>

namespace saqr {
// n weights (f32 or bf16) in blocks of 64 to codes and scales; `bounds`: the 15 between neighbours. The first block with a value that is
// not finite, or −1.
int64_t quantiseNf4(const void* values, bool isBf16, int64_t n, const float* bounds, uint8_t* packed, float* absmax, int threads);
// n scales less `offset` in blocks of 256 to codes and their scales; `middles`: the 255 between neighbours
void quantise8Bit(const float* values, float offset, int64_t n, const float* middles, uint8_t* codes, float* absmax, int threads);
}  // namespace saqr
