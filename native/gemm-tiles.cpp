// Products of bf16 by the processor's tiles. b is laid out in pairs by the threads that multiply it, a part each; rows of a are laid out
// too where many columns meet them. Each thread multiplies a rectangle of c, 32 × 32 at a time. A block of the reduction is as deep as a
// panel of b may be to stay in the first cache while panels of a pass by from the second.
#include <utility>
#include "gemm-tiles-rows.hpp"

namespace saqr::gemm {

#if !SAQR_TILES
bool fitsTiles(const Problem&) { return false; }
void multiplyTiles(const Problem&, Worker&) {}
#else

namespace {

constexpr int64_t kDepth = 10, kDepthInPlace = 20;  // most steps of a block
constexpr int64_t kMostGroup = 16;                  // panels of a that meet one block of b after another
constexpr int64_t kFewCols = 64;                    // up to so many columns rows of a are read where they lie
constexpr int kMostParts = 64;
constexpr int64_t kBlockBytes = kHigh * kWide * 4;  // of sums
#if defined(SAQR_TILES_EMULATED)  // tests' sizes take every way; no sum depends on these
constexpr int64_t kSumCols = 64, kWhole = 24, kHalf = 128 << 10, kOwn = 64 << 10, kLaid = 128 << 10, kSums = 128 << 10;
#else
constexpr int64_t kSumCols = 1024;                            // columns whose sums are kept between two pieces of the reduction
constexpr int64_t kWhole = 64;                                // most steps of a reduction that isn't cut in pieces
constexpr int64_t kHalf = kSharedBytes / 2, kOwn = 512 << 10; // bytes of b laid out at once: by all threads, by one for itself
constexpr int64_t kLaid = 768 << 10, kSums = 6 << 20;         // bytes of rows laid out, and of sums
#endif
static_assert(2 * kHalf <= int64_t{kSharedBytes} && kWhole * kStep <= kLaid && kMostGroup * kBlockBytes <= kSums);

// Rows of a are read where they lie, or laid out. Of two sides that both have to be turned, of which one is narrow, the wide one is taken
// for b, whose pairs are joined with less work; y's blocks are turned instead.
struct Way {
  bool inPlace, turned;
  explicit Way(const Problem& p)
      : inPlace(!p.a.transposed && p.N <= kFewCols), turned(p.a.transposed && p.b.transposed && p.N <= kHigh && p.N < p.M && !p.epilogue.bias && plain(p)) {}
  static bool plain(const Problem& p) {
    for (int i = 0; i < p.parts; i++) {
      if (p.b.part(i).dtype != DType::bf16) return false;  // it is to be read as a's rows
    }
    return true;
  }
};

// In steps of a pair of panels: laying out a panel costs about two of a and four of b (which the threads below each other share), one to
// bring it near.
Split splitOf(int64_t high, int64_t wide, int64_t threads) {
  return bestSplit(threads, [&](const Split& split) {
    const int64_t m = ceilDiv(high, split.down), n = ceilDiv(wide, split.across);
    return m * n + 2 * m + n + ceilDiv(4 * n, split.down);
  });
}

// A thread's part in laying out its columns of b over some steps: whole panels where rows of b are its columns, rows of several panels else
void packShare(const Problem& problem, const Panels& columns, const Share& own, Range steps, float* out, char* staging) {
  const int64_t count = steps.to - steps.from, perItem = problem.b.transposed ? 8 : 1, groups = ceilDiv(own.cols.to - own.cols.from, perItem);
  const Layout layout{count * kUnits, steps.from * kUnits, kUnits};
  const int64_t items = groups * count, end = items * (own.part + 1) / own.parts;
  for (int64_t i = items * own.part / own.parts; i < end;) {
    int64_t group, from, to;  // steps
    if (problem.b.transposed) group = i % groups, from = i / groups, to = from + 1, i++;
    else group = i / count, from = i % count, to = std::min(count, from + end - i), i += to - from;
    const int64_t first = own.cols.from + group * perItem;
    const Panels some{columns.start(first), columns.start(std::min(own.cols.to, first + perItem)), false};
    pack(problem, problem.b, Form::bf16, some, (steps.from + from) * kUnits, (steps.from + to) * kUnits, out + columns.at(first, layout.depth), layout, staging);
  }
}

// How a worker's scratch is divided
struct TileScratch {
  static constexpr int64_t kStaging = Scratch::kStaging, kBias = (kSumCols + kWide) * 4, kRuns = (2 * kMostParts + 2) * sizeof(Run);
  static constexpr int64_t kAll = kLaid + kNear;  // what is asked for ahead may lie behind
  static_assert(kStaging + kBias + kRuns + kAll + kSums + 5 * 64 <= kScratchBytes && kDepthInPlace * kStep <= kLaid);
  char *staging, *laid;
  float *bias, *sums;
  Run* runs;
  explicit TileScratch(const Worker& worker) {
    char* at = worker.scratch;
    auto take = [&](int64_t bytes) { return std::exchange(at, at + (bytes + 63) / 64 * 64); };
    staging = take(kStaging);
    bias = reinterpret_cast<float*>(take(kBias));
    runs = reinterpret_cast<Run*>(take(kRuns));
    laid = take(kAll);
    sums = reinterpret_cast<float*>(take(kSums));
  }
};

// Columns of b over some blocks of the reduction, laid out at `b`
struct Laid {
  const float* b;
  Panels columns;
  Range blocks;
};

// --- a rectangle ---
// One thread's panels of rows from `row` on against panels of columns. Sums are [panels of rows][panels of columns][32][32]: all of them
// where the reduction comes piece by piece, else those of the panel of columns at hand.
class Rectangle {
 public:
  Rectangle(const Problem& problem, const Blocks& blocks, const Way& way, int64_t group, int64_t row, const TileScratch& scratch, Worker& worker)
      : problem_(problem), blocks_(blocks), inPlace_(way.inPlace), turned_(way.turned), group_(group), row_(row), scratch_(scratch), worker_(worker) {}

  void multiply(const Laid& laid, const Share& own) {
    const bool whole = laid.blocks.to - laid.blocks.from == blocks_.count;
    const int64_t most = kSumCols / kWide, wide = own.cols.to - own.cols.from;
    for (int64_t p0 = own.rows.from; p0 < own.rows.to && wide > 0; p0 += group_) {
      lay(p0, std::min(group_, own.rows.to - p0), laid.blocks);
      for (int64_t q = own.cols.from; q < own.cols.to; q++) {
        if (worker_.aborted()) return;
        const int64_t first = own.cols.from + (q - own.cols.from) / most * most, n = laid.columns.start(first);
        if (q == first) {
          finished_.all();
          if (turned_) std::fill_n(scratch_.bias, kSumCols + kWide, 0.0f);  // there is none
          else loadBias(problem_.epilogue, n, laid.columns.start(std::min(own.cols.to, first + most)) - n, scratch_.bias);
        }
        const float* bias = scratch_.bias + laid.columns.start(q) - n;
        if (whole) multiplyColumns(laid, q, scratch_.sums, 1, bias);
        else multiplyColumns(laid, q, scratch_.sums + ((p0 - own.rows.from) * wide + q - own.cols.from) * kHigh * kWide, wide, bias);
      }
    }
    finished_.all();
  }

 private:
  const Problem& problem_;
  const Blocks& blocks_;
  bool inPlace_, turned_;
  int64_t group_, row_;
  const TileScratch& scratch_;
  Worker& worker_;
  Finished finished_;
  int64_t first_ = -1, high_ = 0;  // panels of rows that are laid out
  Range over_{0, 0};               // blocks

  int64_t top(int64_t p) const { return row_ + (first_ + p) * kHigh; }
  int64_t height(int64_t p) const { return std::min(kHigh, problem_.M - top(p)); }
  // [blocks][panels][steps]: in the order in which they are multiplied
  char* laidAt(int64_t p, Range block) const {
    return scratch_.laid + ((block.from - blocks_[over_.from].from) * high_ + p * (block.to - block.from)) * kStep;
  }

  void lay(int64_t first, int64_t high, Range over) {
    if (first == first_ && high == high_ && over.from == over_.from && over.to == over_.to) return;
    first_ = first, high_ = high, over_ = over;
    for (int64_t p = 0; p < high_ && !inPlace_; p++) {
      int64_t i = over.from;
      Range block = blocks_[i];
      layRows(problem_, top(p), height(p), blocks_.all(over), [&](int64_t s) {
        while (s >= block.to) block = blocks_[++i];
        while (s < block.from) block = blocks_[--i];
        return laidAt(p, block) + (s - block.from) * kStep;
      });
    }
  }

  void multiplyColumns(const Laid& laid, int64_t q, float* sums, int64_t apart, const float* bias) {
    const Range steps = blocks_.all(laid.blocks);
    const int64_t units = (steps.to - steps.from) * kUnits, width = laid.columns.step(q);
    const char* panel = reinterpret_cast<const char*>(laid.b + laid.columns.at(q, units));
    for (int64_t i = laid.blocks.from; i < laid.blocks.to; i++) {
      const Range block = blocks_[i];
      const int64_t depth = block.to - block.from;
      const char* b = panel + (block.from - steps.from) * kUnits * width * 4;
      const int64_t lines = ceilDiv(kStep / 64, high_);
      for (int64_t p = 0; p < high_; p++) {
        Run one{laidAt(p, block), kStepBytes, kStep, depth};
        const Run* runs = &one;
        int64_t count = 1;
        if (inPlace_) runs = scratch_.runs, count = runsOf(problem_, top(p), height(p), block, scratch_.laid, scratch_.runs);
        float* c = sums + p * apart * kHigh * kWide;
        const Ahead ahead{!inPlace_, p == 0, b + (depth * kStep) + p * depth * lines * 64, lines};
        panelKernel(height(p), width / W)(runs, count, b, c, i > 0, ahead, finished_, ceilDiv(kHigh, depth));
        if (i + 1 == blocks_.count) finished_.begin(problem_.epilogue, turned_, top(p), laid.columns.start(q), height(p), laid.columns.size(q), c, bias);
      }
    }
  }
};

// What is done between two barriers: some columns over some blocks of the reduction, for some rows
struct Cut {
  int64_t cols, blocks, rows;
};
Cut cutOf(const Problem& problem, const Blocks& blocks, bool inPlace, const Worker& worker) {
  const int64_t perColumn = blocks.length * kUnits * 4, all = ceilDiv(problem.N, kWide) * kWide, depth = blocks.depth();
  if (inPlace ? perColumn * all <= kHalf : blocks.length <= kWhole) return {kHalf / perColumn / kWide * kWide, blocks.count, problem.M};
  // the reduction piece by piece, sums of all a thread's columns are kept meanwhile
  const int64_t wide = std::min(kSumCols, all), most = std::min(kHalf / wide, kLaid / kHigh) / kStepBytes / depth;
  Cut cut{wide, std::clamp<int64_t>(most, 1, 4), problem.M};
  auto keeps = [&] {
    const int64_t high = ceilDiv(cut.rows, kHigh);
    int64_t most = 0;
    for (int64_t panels : {wide / kWide, all % wide / kWide}) {  // the last columns are fewer
      const Split split = splitOf(high, panels, worker.count);
      most = std::max(most, ceilDiv(high, split.down) * ceilDiv(panels, split.across));
    }
    return most * kBlockBytes;
  };
  while (keeps() > kSums) cut.rows = ceilDiv(cut.rows, 2 * kHigh) * kHigh;
  return cut;
}

}  // namespace

bool fitsTiles(const Problem& problem) { return problem.form() == Form::bf16 && problem.parts <= kMostParts; }

void multiplyTiles(const Problem& asked, Worker& worker) {
  const Way way(asked);
  const bool inPlace = way.inPlace;
  Problem problem = asked;
  if (way.turned) std::swap(problem.a, problem.b), std::swap(problem.M, problem.N);
  const int64_t steps = totalSteps(problem);
  const Blocks blocks{steps, ceilDiv(steps, inPlace ? kDepthInPlace : kDepth)};
  const Cut cut = cutOf(problem, blocks, inPlace, worker);
  const int64_t group = inPlace ? kMostGroup : std::min(kMostGroup, kLaid / kStep / (blocks.depth() * std::min(cut.blocks, blocks.count)));
  const TileScratch scratch(worker);
  const tiles::Use use;

  // All rows are laid out at once and stay: each thread has columns of its own, lays out some of them, multiplies them, and waits for nobody.
  const Panels everything{0, problem.N, false};
  const int64_t panels = everything.count(), high = ceilDiv(problem.M, kHigh), room = kSharedBytes / worker.count / 64 * 64;
  const int64_t atOnce = std::min(kOwn, room) / (steps * kStep);
  if (cut.blocks == blocks.count && high <= group && atOnce > 0 && splitOf(high, panels, worker.count).down == 1) {
    Rectangle own(problem, blocks, way, group, 0, scratch, worker);
    const Range cols = share(worker, panels);
    float* b = reinterpret_cast<float*>(worker.shared + worker.id * room);
    for (int64_t q = cols.from; q < cols.to && !worker.aborted(); q += atOnce) {
      const Panels columns{everything.start(q), everything.start(std::min(cols.to, q + atOnce)), false};
      const Share mine{{0, high}, {0, columns.count()}};
      packShare(problem, columns, mine, {0, steps}, b, scratch.staging);
      own.multiply({b, columns, {0, blocks.count}}, mine);
    }
    return;
  }

  int64_t turn = 0;
  for (int64_t m = 0; m < problem.M; m += cut.rows) {
    const int64_t rows = ceilDiv(std::min(cut.rows, problem.M - m), kHigh);
    Rectangle own(problem, blocks, way, group, m, scratch, worker);
    for (int64_t n = 0; n < problem.N; n += cut.cols) {
      const Panels columns{n, std::min(problem.N, n + cut.cols), false};
      const Share mine = shareOf(splitOf(rows, columns.count(), worker.count), rows, columns.count(), worker.id);
      for (int64_t i = 0; i < blocks.count; i += cut.blocks, turn++) {
        // The halves take turns: whoever writes one has passed a barrier since it was last read.
        float* b = reinterpret_cast<float*>(worker.shared + turn % 2 * kHalf);
        const Laid laid{b, columns, {i, std::min(blocks.count, i + cut.blocks)}};
        packShare(problem, columns, mine, blocks.all(laid.blocks), b, scratch.staging);
        worker.barrier();
        own.multiply(laid, mine);
        if (worker.aborted()) return;
      }
    }
  }
}

#endif

}  // namespace saqr::gemm
