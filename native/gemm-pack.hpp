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

constexpr int64_t kMaxCols = 2048;  // of b, laid out at once
int64_t totalUnits(const Problem& problem, Form form);

// How a worker's scratch is divided
struct Scratch {
  static constexpr int64_t kDepth = 832;                             // units of a block of the reduction: 1536 + rank 128 pairs
  static constexpr int64_t kRowBlock = kTall == 6 ? 96 : 8 * kTall;  // of a; kDepth units of them take less than half of the second cache
  static constexpr int64_t kStaging = 64 << 10, kBias = (kMaxCols + kWide) * 4, kRows = kRowBlock / kTall * kTallStep * kDepth * 4;
  static constexpr int64_t kColumns = 3 << 20, kSums = 4 << 20;        // bytes
  char* staging;
  float *bias, *rows, *columns, *sums;
  explicit Scratch(const Worker& worker) {
    staging = worker.scratch;
    bias = reinterpret_cast<float*>(staging + kStaging);
    rows = bias + (kBias + 4095) / 4096 * 1024;
    columns = rows + kRows / 4;
    sums = columns + kColumns / 4;
  }
};
static_assert(Scratch::kStaging + Scratch::kBias + 4096 + Scratch::kRows + Scratch::kColumns + Scratch::kSums <= kScratchBytes);

// Units [from, to) of the parts' joined reduction, each part's filled up with zeros to a multiple of `quantum`. `out` is that of panels of
// `depth` units, of which the first written is unit `from` − `origin`.
struct Layout {
  int64_t depth, origin, quantum = 1;
};
void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, const Layout& layout,
          char* staging);
inline void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, char* staging) {
  pack(problem, side, form, panels, from, to, out, {to - from, from}, staging);
}

// The ways to multiply; which one is taken depends on shapes and dtypes alone
bool multiplyPacked(const Problem& problem, Worker& worker);  // whether threads shared what they laid out
bool fitsDirect(const Problem& problem);
void multiplyDirect(const Problem& problem, Worker& worker);
bool fitsOuter(const Problem& problem);
void multiplyOuter(const Problem& problem, Worker& worker);
bool fitsTiles(const Problem& problem);
void multiplyTiles(const Problem& problem, Worker& worker);
bool fitsGemv(const Problem& problem);
void multiplyGemv(const Problem& problem, Worker& worker);
bool quickInBlocks(DType dtype);  // whether a text goes on over weights of it, as they lie, about as fast as over bf16

// bias (n … n + count - 1) in f32, zeros where there is none
void loadBias(const Epilogue& f, int64_t n, int64_t count, float* out);
// Writes rows × cols of c (at `c`, `stride` apart) to y at (m, n); `bias` is that of column n on. c and bias are read by whole vectors.
void applyEpilogue(const Epilogue& f, int64_t m, int64_t n, int64_t rows, int64_t cols, const float* c, int64_t stride, const float* bias);

}  // namespace saqr::gemm
