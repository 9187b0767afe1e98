// Operands as panels: what a tile reads stands side by side, [units][vectors of the panel].
#pragma once
#include <algorithm>
#include "gemm-kernel.hpp"
#include "gemm.hpp"

namespace saqr::gemm {

// The vectors [from, to) of a side, cut into panels. Rows (of a): all of nearly one height, at most kTall. Columns (of b): kWide
// wide, the last what is left. A panel's units stand whole vectors apart.
struct Panels {
  int64_t from, to;
  bool rows;
  int64_t width() const { return rows ? kTall : kWide; }
  int64_t count() const { return (to - from + width() - 1) / width(); }
  int64_t start(int64_t p) const { return rows ? from + (to - from) * p / count() : std::min(to, from + p * kWide); }
  int64_t size(int64_t p) const { return start(p + 1) - start(p); }
  int64_t step(int64_t p) const { return rows ? kTallStep : (size(p) + W - 1) / W * W; }
  int64_t at(int64_t p, int64_t units) const { return p * (rows ? kTallStep : kWide) * units; }
  int64_t floats(int64_t units) const { return at(count(), units); }
};

constexpr int64_t kStaging = 64 << 10;          // bytes
constexpr int64_t kMaxVectors = kStaging / 16;  // of one call, where the reduction runs down the rows

// Units [from, to) of the parts' joined reduction
void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, char* staging);

}  // namespace saqr::gemm
