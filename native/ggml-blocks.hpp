#pragma once
#include <cstdint>

namespace saqr {
// n weights (f32) to blocks of ggml's type `type` (its ids: 1 F16, 2 Q4_0, 3 Q4_1, 6 Q5_0, 7 Q5_1, 8 Q8_0, 12 Q4_K, 13 Q5_K, 14 Q6_K, 30 BF16).
// The first block with a value that is not finite (f16: or becomes so), or −1; −2: no such type.
int64_t quantiseGgml(const float* values, int64_t n, int type, uint8_t* out, int threads);
}  // namespace saqr
