// Products of any size: blocks of both operands are laid out in panels that stay in the caches, tiles of c are held in registers. Threads
// that multiply the same columns of b lay them out together, a part each, in memory that all share; where each has columns of its own,
// each lays them out in its scratch and waits for nobody.
#include <algorithm>
#include "gemm-pack.hpp"
#include "gemm-split.hpp"

namespace saqr::gemm {

namespace {

constexpr int64_t kStreamingFrom = 32 << 20;  // bytes of a result that no cache keeps

// The rows of a that are laid out next. (Only the first part's: others are small.)
Fetch fetchOf(const Problem& problem, Form form, Range m, Range units) {
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

// Columns of b over some blocks of the reduction, laid out at `b`
struct Laid {
  const float* b;
  Panels columns;
  Range units;
  const float* at(int64_t panel, Range block) const {
    return b + columns.at(panel, units.to - units.from) + (block.from - units.from) * columns.step(panel);
  }
};

// A thread's panels of columns over a block of the reduction
struct Block {
  const Problem& problem;
  Form form;
  Range units;
  bool first, last;  // of the reduction
  const Laid& laid;
  Range panels;
  const Scratch& scratch;
  float* sums;  // of the block's rows between two blocks of the reduction, or null: there is but one
  int64_t sumStride;

  void run(Range m, Fetch ahead, Results& results) const {
    const Panels rows{m.from, m.to, true}, &columns = laid.columns;
    const int64_t depth = units.to - units.from, high = rows.count(), left = columns.start(panels.from);
    pack(problem, problem.a, form, rows, units.from, units.to, scratch.rows, scratch.staging);
    const int64_t atOnce = ahead.lines() / (high * (panels.to - panels.from)) + 1;
    int64_t start[Scratch::kRowBlock / kTall + 1];
    for (int64_t p = 0; p <= high; p++) start[p] = rows.start(p);
    alignas(64) float tile[kTall * kWide];
    for (int64_t q = panels.from; q < panels.to; q++) {
      const int64_t n = columns.start(q), cols = columns.size(q), column = n - left, vectors = columns.step(q) / W;
      const float* b = laid.at(q, units);
      const bool more = q + 1 < panels.to;
      const char* next = reinterpret_cast<const char*>(more ? laid.at(q + 1, units) : b);
      const int64_t lines = more ? columns.step(q + 1) * 4 / 64 : 0;
      for (int64_t p = 0; p < high; p++) {
        const int64_t height = start[p + 1] - start[p], stride = sums ? sumStride : kWide;
        float* c = sums ? sums + (start[p] - m.from) * sumStride + column : tile;
        ahead.next(atOnce);
        const Result* whole = last ? results.at(start[p], n, height, cols, scratch.bias + column) : nullptr;
        tileKernel(form, height, vectors)(depth, scratch.rows + rows.at(p, depth), b, c, stride, !first, whole,
                                         p < lines ? Nearer{next + p * depth * 64, 64} : Nearer{reinterpret_cast<const char*>(b), 0});
        if (last && !whole) applyEpilogue(problem.epilogue, start[p], n, height, cols, c, stride, scratch.bias + column);
      }
    }
  }
};

// What a thread multiplies between two layings out: its rows and panels over some blocks of the reduction. False: the run is aborted.
bool multiplyLaid(const Problem& problem, Form form, const Blocks& blocks, const Laid& laid, Range some, const Share& own, const Scratch& scratch,
                  Results& results, Worker& worker) {
  const Panels rows{own.rows.from, own.rows.to, true};
  const int64_t panels = rows.count(), count = ceilDiv(panels, Scratch::kRowBlock / kTall);  // of blocks of rows, nearly equal
  const int64_t left = laid.columns.start(own.cols.from), right = laid.columns.start(own.cols.to);
  if (panels < 1 || left == right) return !worker.aborted();
  const int64_t stride = ceilDiv(right - left, kWide) * kWide;
  auto rowBlock = [&](int64_t r) { return Range{rows.start(panels * r / count), rows.start(panels * (r + 1) / count)}; };
  loadBias(problem.epilogue, left, right - left, scratch.bias);
  for (int64_t i = some.from; i < some.to; i++) {
    for (int64_t r = 0; r < count; r++) {
      if (worker.aborted()) return false;
      const Fetch ahead = r + 1 < count          ? fetchOf(problem, form, rowBlock(r + 1), blocks[i])
                          : i + 1 < blocks.count ? fetchOf(problem, form, rowBlock(0), blocks[i + 1])
                                                 : Fetch();
      const Range m = rowBlock(r);
      float* sums = blocks.count == 1 ? nullptr : scratch.sums + (m.from - own.rows.from) * stride;
      Block{problem, form, blocks[i], i == 0, i + 1 == blocks.count, laid, own.cols, scratch, sums, stride}.run(m, ahead, results);
    }
  }
  return true;
}

// --- columns of one thread ---
void multiplyOwn(const Problem& problem, Form form, const Blocks& blocks, Range n, const Scratch& scratch, Results& results, Worker& worker) {
  if (n.from == n.to) return;
  // columns of a block, rows whose sums are kept between two blocks of the reduction: what fits
  const int64_t fitting = Scratch::kColumns / 4 / blocks.depth() / kWide * kWide;
  const int64_t cols = std::min({fitting, kMaxCols, ceilDiv(n.to - n.from, kWide) * kWide});
  const int64_t rows = blocks.count == 1 ? problem.M : Scratch::kSums / 4 / cols / Scratch::kRowBlock * Scratch::kRowBlock;
  for (int64_t m0 = 0; m0 < problem.M; m0 += rows) {
    for (int64_t n0 = n.from; n0 < n.to; n0 += cols) {
      const Panels columns{n0, std::min(n.to, n0 + cols), false};
      for (int64_t i = 0; i < blocks.count; i++) {
        pack(problem, problem.b, form, columns, blocks[i].from, blocks[i].to, scratch.columns, scratch.staging);
        const Laid laid{scratch.columns, columns, blocks[i]};
        const Share own{{m0, std::min(problem.M, m0 + rows)}, {0, columns.count()}};
        if (!multiplyLaid(problem, form, blocks, laid, {i, i + 1}, own, scratch, results, worker)) return;
      }
    }
  }
}

// --- columns that threads share ---
constexpr int64_t kHalf = kSharedBytes / 2, kTogether = 4 << 20;  // bytes of b laid out at once: most, and what more blocks are added up to
static_assert(kMaxCols * (Scratch::kDepth + 1) * 4 <= kHalf && kTogether <= kHalf);
static_assert(kMaxCols % kWide == 0);  // else pieces of columns, made whole panels, could be wider

// Multiply-adds for one element of the reduction, of the thread with the most; laying one out costs as much as about five, fetching what
// others laid out as two.
Split splitOf(const Problem& problem, int64_t rows, int64_t cols, bool keepsSums, const Worker& worker) {
  const bool quantised = problem.b.part(0).dtype == DType::nf4 || inBlocks(problem.b.part(0));
  return bestSplit(worker.count, [&](const Split& split) {
    const int64_t m = ceilDiv(rows, split.down), n = ceilDiv(ceilDiv(cols, kWide), split.across) * kWide;
    if (keepsSums && m * n * 4 > Scratch::kSums) return kImpossible;
    return m * n + 5 * m + (split.down > 1 ? 2 * n : 0) + ceilDiv((quantised ? 10 : 5) * n, split.down);
  });
}

// A thread's part in laying out its columns over some units: of rows of b that are units some rows, of rows that are columns whole ones
// where they are enough
void packShare(const Problem& problem, Form form, const Panels& columns, const Share& own, Range units, float* out, char* staging) {
  const int64_t depth = units.to - units.from;
  auto some = [&](Range panels, int64_t from, int64_t to) {
    if (panels.from >= panels.to || from >= to) return;
    const Panels these{columns.start(panels.from), columns.start(panels.to), false};
    pack(problem, problem.b, form, these, units.from + from, units.from + to, out + columns.at(panels.from, depth), {depth, units.from}, staging);
  };
  if (problem.b.transposed) return some(own.cols, depth * own.part / own.parts, depth * (own.part + 1) / own.parts);
  constexpr int64_t kStep = 4 * W;
  const int64_t steps = ceilDiv(depth, kStep), items = (own.cols.to - own.cols.from) * steps;
  const int64_t from = items * own.part / own.parts, to = items * (own.part + 1) / own.parts;
  const int64_t first = own.cols.from + from / steps, last = own.cols.from + to / steps;  // the panels that may be cut
  const int64_t begin = from % steps * kStep, end = std::min(depth, to % steps * kStep);
  if (first == last) return some({first, first + 1}, begin, end);
  if (begin > 0) some({first, first + 1}, begin, depth);
  some({begin > 0 ? first + 1 : first, last}, 0, depth);
  some({last, last + 1}, 0, end);
}

void multiplyShared(const Problem& problem, Form form, const Blocks& blocks, const Scratch& scratch, Results& results, Worker& worker) {
  const bool keepsSums = blocks.count > 1;
  const int64_t pieces = ceilDiv(problem.N, kMaxCols), cols = ceilDiv(ceilDiv(problem.N, pieces), kWide) * kWide;
  const int64_t together = std::max<int64_t>(1, kTogether / 4 / (cols * blocks.depth()));
  int64_t rows = problem.M;
  while (!splitOf(problem, rows, cols, keepsSums, worker).possible()) rows = ceilDiv(rows, 2);
  int64_t turn = 0;
  for (int64_t m0 = 0; m0 < problem.M; m0 += rows) {
    const int64_t m1 = std::min(problem.M, m0 + rows);
    for (int64_t n0 = 0; n0 < problem.N; n0 += cols) {
      const Panels columns{n0, std::min(problem.N, n0 + cols), false};
      const Split split = splitOf(problem, m1 - m0, columns.to - n0, keepsSums, worker);
      Share own = shareOf(split, m1 - m0, columns.count(), worker.id);
      own.rows = {m0 + own.rows.from, m0 + own.rows.to};
      for (int64_t i = 0; i < blocks.count; i += together, turn++) {
        // the halves take turns: whoever writes one has passed a barrier since it was last read
        float* b = reinterpret_cast<float*>(worker.shared + turn % 2 * kHalf);
        const Range some{i, std::min(blocks.count, i + together)};
        const Laid laid{b, columns, blocks.all(some)};
        packShare(problem, form, columns, own, laid.units, b, scratch.staging);
        worker.barrier();
        if (!multiplyLaid(problem, form, blocks, laid, some, own, scratch, results, worker)) return;
      }
    }
  }
}

}  // namespace

bool multiplyPacked(const Problem& problem, Worker& worker) {
  const Form form = problem.form();
  const Scratch scratch(worker);
  const int64_t units = totalUnits(problem, form);
  const Blocks blocks{units, std::max<int64_t>(1, ceilDiv(units, Scratch::kDepth))};
  Results results(problem.epilogue, form);
  const bool shared = splitOf(problem, problem.M, problem.N, false, worker).down > 1;
  if (shared) multiplyShared(problem, form, blocks, scratch, results, worker);
  else {
    const Range panels = share(worker, ceilDiv(problem.N, kWide));
    multiplyOwn(problem, form, blocks, {panels.from * kWide, std::min(problem.N, panels.to * kWide)}, scratch, results, worker);
  }
#if defined(__x86_64__)
  _mm_sfence();  // what was streamed comes before the barrier
#endif
  return shared;
}

}  // namespace saqr::gemm
