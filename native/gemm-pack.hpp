// Operands as panels: what a tile reads stands side by side, [units][vectors of the panel].
#pragma once
#include "gemm-kernel.hpp"
#include "gemm.hpp"

namespace saqr::gemm {

// The vectors [from, to) of a side, cut into panels. `even`: all of (nearly) one height, at most `width`; else of `width`, the last
// rounded up to whole vectors. Panels stand one after the other; a store of a whole vector may run over a panel's end.
struct Panels {
  int64_t from, to;
  int width;
  bool even;
  int64_t count() const { return (to - from + width - 1) / width; }
  int64_t start(int64_t p) const { return even ? from + (to - from) * p / count() : from + p * width < to ? from + p * width : to; }
  int64_t size(int64_t p) const { return start(p + 1) - start(p); }
  // floats between a panel's units
  int64_t step(int64_t p) const { return even ? size(p) : (size(p) + W - 1) / W * W; }
  float* at(float* base, int64_t p, int64_t units) const { return base + (start(p) - from) * units + p * W; }
  static int64_t floats(int64_t vectors, int width, int64_t units) { return (vectors + width) * units + (vectors / width + 2) * W; }
};

constexpr int64_t kStaging = 64 << 10;          // bytes
constexpr int64_t kMaxVectors = kStaging / 16;  // of one call, where the reduction runs down the rows

// Units [from, to) of the parts' joined reduction
void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, char* staging);

}  // namespace saqr::gemm
