// Products of any size: blocks of both operands are laid out in panels that stay in the caches, tiles of c are held in registers.
#include <algorithm>
#include "gemm-pack.hpp"

namespace saqr::gemm {

constexpr int64_t kStreamingFrom = 32 << 20;  // bytes of a result that no cache keeps

// The rows of a that are laid out next. (Only the first part's: others are small.)
static Fetch fetchOf(const Problem& problem, Form form, Range m, Range units) {
  const Tensor& t = problem.a.part(0);
  const int64_t bytes = t.dtype == DType::f32 ? 4 : 2, perUnit = form == Form::bf16 ? 2 : 1;
  const Range k{units.from * perUnit, std::min(units.to * perUnit, problem.a.depth(0))};
  if (k.from >= k.to) return {};
  const Range &rows = problem.a.transposed ? k : m, &cols = problem.a.transposed ? m : k;
  const char* first = static_cast<const char*>(t.data) + (rows.from * t.stride + cols.from) * bytes;
  return {first, t.stride * bytes, rows.to - rows.from, (cols.to - cols.from) * bytes};
}

// Where whole tiles go. Results in the form's own dtype get their epilogue inside the tile kernel.
class Results {
 public:
  Results(const Epilogue& f, Form form) : f_(f) {
    const DType own = form == Form::bf16 ? DType::bf16 : DType::f32;
    inside_ = f.y->dtype == own && (!f.addend || f.addend->dtype == own);
    bytes_ = f.y->dtype == DType::f32 ? 4 : 2;
    const bool aligned = f.y->stride % 32 == 0 && reinterpret_cast<uintptr_t>(f.y->data) % 64 == 0;
    streaming_ = form == Form::bf16 && aligned && f.y->rows * f.y->stride * bytes_ > kStreamingFrom;
  }
  // Of the tile at (m, n), null where `applyEpilogue` has to do it; its place is fetched while the tile is computed.
  SAQR_INLINE const Result* at(int64_t m, int64_t n, int64_t rows, int64_t cols, const float* bias) {
    char* y = static_cast<char*>(f_.y->data) + (m * f_.y->stride + n) * bytes_;
    if (!streaming_) {
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols * bytes_; j += 64) __builtin_prefetch(y + i * f_.y->stride * bytes_ + j, 1, 3);
      }
    }
    if (!inside_ || cols % W) return nullptr;
    const Tensor* a = f_.addend;
    const char* addend = a ? static_cast<const char*>(a->data) + (m * a->stride + n) * bytes_ : nullptr;
    result_ = {y, addend, f_.y->stride, a ? a->stride : 0, bias, f_.alpha, streaming_};
    return &result_;
  }

 private:
  const Epilogue& f_;
  Result result_;
  int64_t bytes_;
  bool inside_, streaming_;
};

// One block of the product: panels of a and b over some units of the reduction.
struct Block {
  const Problem& problem;
  Form form;
  Range units;
  bool first, last;       // of the reduction
  const Panels& columns;  // laid out at scratch.columns
  const Scratch& scratch;
  float* sums;            // of the block's rows between two blocks of the reduction, or null: there is but one
  int64_t sumStride;

  void run(Range m, Fetch ahead, Results& results) const {
    const Panels rows{m.from, m.to, true};
    const int64_t depth = units.to - units.from, high = rows.count(), wide = columns.count();
    pack(problem, problem.a, form, rows, units.from, units.to, scratch.rows, scratch.staging);
    const int64_t atOnce = ahead.lines() / (high * wide) + 1;
    int64_t start[Scratch::kRowBlock / kTall + 1];
    for (int64_t p = 0; p <= high; p++) start[p] = rows.start(p);
    alignas(64) float tile[kTall * kWide];
    for (int64_t q = 0; q < wide; q++) {
      const int64_t n = columns.start(q), cols = columns.size(q), column = n - columns.from, vectors = columns.step(q) / W;
      const float* b = scratch.columns + columns.at(q, depth);
      for (int64_t p = 0; p < high; p++) {
        const int64_t height = start[p + 1] - start[p], stride = sums ? sumStride : kWide;
        float* c = sums ? sums + (start[p] - m.from) * sumStride + column : tile;
        ahead.next(atOnce);
        const Result* whole = last ? results.at(start[p], n, height, cols, scratch.bias + column) : nullptr;
        tileKernel(form, height, vectors)(depth, scratch.rows + rows.at(p, depth), b, c, stride, !first, whole);
        if (last && !whole) applyEpilogue(problem.epilogue, start[p], n, height, cols, c, stride, scratch.bias + column);
      }
    }
  }
};

void multiplyPacked(const Problem& problem, Worker& worker) {
  const Form form = problem.form();
  const Area area = areaOf(problem, worker);
  if (area.m.from == area.m.to || area.n.from == area.n.to) return;
  const Scratch scratch(worker);
  const int64_t units = totalUnits(problem, form), blocks = std::max<int64_t>(1, (units + Scratch::kDepth - 1) / Scratch::kDepth);
  // columns of a block, rows whose sums are kept between two blocks of the reduction: what fits
  const int64_t fitting = Scratch::kColumns / 4 / ((units + blocks - 1) / blocks) / kWide * kWide;
  const int64_t cols = std::min({fitting, kMaxCols, (area.n.to - area.n.from + kWide - 1) / kWide * kWide});
  const int64_t rows = blocks == 1 ? problem.M : Scratch::kSums / 4 / cols / Scratch::kRowBlock * Scratch::kRowBlock;
  Results results(problem.epilogue, form);
  for (int64_t m0 = area.m.from; m0 < area.m.to; m0 += rows) {
    const int64_t m1 = std::min(area.m.to, m0 + rows);
    for (int64_t n0 = area.n.from; n0 < area.n.to; n0 += cols) {
      const Panels columns{n0, std::min(area.n.to, n0 + cols), false};
      loadBias(problem.epilogue, n0, columns.to - n0, scratch.bias);
      for (int64_t i = 0; i < blocks; i++) {
        auto block = [&](int64_t at) { return Range{units * at / blocks, units * (at + 1) / blocks}; };
        const Range depth = block(i);
        pack(problem, problem.b, form, columns, depth.from, depth.to, scratch.columns, scratch.staging);
        for (int64_t m = m0; m < m1; m += Scratch::kRowBlock) {
          if (worker.aborted()) return;
          const int64_t end = std::min(m1, m + Scratch::kRowBlock);
          auto rowBlock = [&](int64_t from) { return Range{from, std::min(m1, from + Scratch::kRowBlock)}; };
          const Fetch ahead = end < m1         ? fetchOf(problem, form, rowBlock(end), depth)
                              : i + 1 < blocks ? fetchOf(problem, form, rowBlock(m0), block(i + 1))
                                               : Fetch();
          float* sums = blocks == 1 ? nullptr : scratch.sums + (m - m0) * cols;
          Block{problem, form, depth, i == 0, i + 1 == blocks, columns, scratch, sums, cols}.run({m, end}, ahead, results);
        }
      }
    }
  }
#if defined(__x86_64__)
  _mm_sfence();  // what was streamed comes before the barrier
#endif
}

}  // namespace saqr::gemm
