#pragma once
#include <cstdint>

namespace saqr {
// w (rows, cols) + scale · b (rows, rank) · a (rank, cols), summed in f64, into w
void addLowRank(float* w, const float* b, const float* a, double scale, int64_t rows, int64_t cols, int64_t rank, int threads);
}  // namespace saqr
