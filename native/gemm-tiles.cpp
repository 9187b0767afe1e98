// Products of bf16 by the processor's tiles. All threads lay b out together, in pairs, once; each multiplies a rectangle of c, 32 × 32 at
// a time: four tiles of sums, two of a, two of b. Rows of a are read where they lie unless their reduction runs down the tensor or they
// are the last few; a block of the reduction is as deep as a panel of b may be to stay in the first cache.
#include <utility>
#include "gemm-pack.hpp"
#include "gemm-units.hpp"
#include "tiles.hpp"

namespace saqr::gemm {

#if !SAQR_TILES
bool fitsTiles(const Problem&) { return false; }
void multiplyTiles(const Problem&, Worker&) {}
#else

namespace {

using tiles::kUnits;
constexpr int64_t kStepBytes = 64, kHigh = 2 * tiles::kRows;  // of a row in one step of 16 units; rows of a panel of a
constexpr int64_t kDepth = 20;      // steps of a block of the reduction: 40 kB of b
constexpr int64_t kGroup = 8;       // panels of a that meet one panel of b after another
constexpr int kMostParts = 64;
#if defined(SAQR_TILES_EMULATED)  // tests' sizes take every way; no sum depends on these
constexpr int64_t kSumCols = 64, kHalf = 128 << 10, kSums = 64 << 10;
#else
constexpr int64_t kSumCols = 1024;                            // columns whose sums are kept between two blocks
constexpr int64_t kHalf = kSharedBytes / 2, kSums = 4 << 20;  // bytes
#endif
static_assert(kWide == 2 * tiles::kRows && kHigh % W == 0 && 2 * kHalf <= int64_t{kSharedBytes});
static_assert(kSumCols * kDepth * kStepBytes <= kHalf && kGroup * kHigh * kSumCols * 4 <= kSums);

int64_t stepsOf(const Problem& problem, int p) { return (unitsOf(Form::bf16, problem.a.depth(p)) + kUnits - 1) / kUnits; }
int64_t totalSteps(const Problem& problem) {
  int64_t steps = 0;
  for (int p = 0; p < problem.parts; p++) steps += stepsOf(problem, p);
  return steps;
}
int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// --- the kernel ---
// Some steps of the reduction for the rows of one panel: where their first is, bytes between rows and between steps
struct Run {
  const char* a;
  int64_t stride, step, count;
};

// c (16 · A, 16 · B) = or += a · b over all runs; b is laid out [units][16 · B]
template <int A, int B>
void multiplyPanel(const Run* runs, int64_t count, const char* b, float* c, int64_t stride, bool add) {
  constexpr int64_t across = 64 * B;
  const int64_t apart = stride * 4;
  char *c0 = reinterpret_cast<char*>(c), *c1 = c0 + 16 * apart;
  asm volatile("" ::: "memory");  // the compiler doesn't know that tiles read memory
  if (add) {
    _tile_loadd(0, c0, apart);
    if constexpr (B == 2) _tile_loadd(1, c0 + 64, apart);
    if constexpr (A == 2) _tile_loadd(2, c1, apart);
    if constexpr (A == 2 && B == 2) _tile_loadd(3, c1 + 64, apart);
  } else {
    _tile_zero(0);
    if constexpr (B == 2) _tile_zero(1);
    if constexpr (A == 2) _tile_zero(2);
    if constexpr (A == 2 && B == 2) _tile_zero(3);
  }
  for (const Run* run = runs; run < runs + count; run++) {
    const char* a = run->a;
    for (int64_t s = 0; s < run->count; s++, a += run->step, b += kUnits * across) {
      _tile_loadd(6, b, across);
      _tile_loadd(4, a, run->stride);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (B == 2) {
        _tile_loadd(7, b + 64, across);
        _tile_dpbf16ps(1, 4, 7);
      }
      if constexpr (A == 2) {
        _tile_loadd(5, a + 16 * run->stride, run->stride);
        _tile_dpbf16ps(2, 5, 6);
        if constexpr (B == 2) _tile_dpbf16ps(3, 5, 7);
      }
    }
  }
  _tile_stored(0, c0, apart);
  if constexpr (B == 2) _tile_stored(1, c0 + 64, apart);
  if constexpr (A == 2) _tile_stored(2, c1, apart);
  if constexpr (A == 2 && B == 2) _tile_stored(3, c1 + 64, apart);
}
using PanelKernel = void (*)(const Run*, int64_t, const char*, float*, int64_t, bool);
PanelKernel panelKernel(int64_t rows, int64_t vectors) {
  if (rows <= 16) return vectors == 1 ? multiplyPanel<1, 1> : multiplyPanel<1, 2>;
  return vectors == 1 ? multiplyPanel<2, 1> : multiplyPanel<2, 2>;
}

// --- rows of a ---
// 16 units of 32 columns of t from row k on, turned: out [32 rows][16 units]; what is beyond t is zero
void turnStep(const Tensor& t, int64_t k, int64_t from, int64_t count, char* out) {
  static const bf16 zeros[32] = {};
  const bf16* data = static_cast<const bf16*>(t.data) + from;
  auto row = [&](int64_t at) { return at < t.rows ? data + at * t.stride : zeros; };
  for (int64_t r = k + 32; r < std::min(k + 64, t.rows); r++) __builtin_prefetch(data + r * t.stride, 0, 2);  // the next step's
  for (int half = 0; half < 2; half++, out += 16 * kStepBytes) {
    const int64_t n = std::clamp<int64_t>(count - 16 * half, 0, 16);
    vf v[W];
    for (int u = 0; u < 16; u++) {
      const bf16 *even = row(k + 2 * u) + 16 * half, *odd = row(k + 2 * u + 1) + 16 * half;
      v[u] = n == 16 ? join(even, odd) : joinFirst(even, odd, static_cast<int>(n));
    }
    transpose(v);
    for (int r = 0; r < 16; r++) store(reinterpret_cast<float*>(out + r * kStepBytes), v[r]);
  }
}

// bytes [from, …) of rows, as one step: out [32 rows][64 bytes]
void copyStep(const Tensor& t, int64_t m, int64_t rows, int64_t k, char* out) {
  const int64_t n = std::min<int64_t>(32, t.cols - k);
  memset(out, 0, kHigh * kStepBytes);
  for (int64_t r = 0; r < rows; r++) memcpy(out + r * kStepBytes, static_cast<const bf16*>(t.data) + (m + r) * t.stride + k, n * 2);
}

// The runs of a panel's rows over steps [from, to) of the joined reduction; `laid` has kHigh × 64 bytes for each step that has to be laid out.
int64_t runsOf(const Problem& problem, int64_t m, int64_t rows, Range steps, char* laid, Run* runs) {
  Run* last = runs - 1;
  int64_t begin = 0;
  for (int p = 0; p < problem.parts; p++) {
    const Tensor& t = problem.a.part(p);
    const int64_t end = begin + stepsOf(problem, p), whole = problem.a.transposed || rows % 16 ? begin : begin + t.cols / 32;
    const int64_t from = std::max(steps.from, begin), to = std::min(steps.to, end);
    if (from < std::min(to, whole)) {
      const char* at = reinterpret_cast<const char*>(static_cast<const bf16*>(t.data) + m * t.stride + (from - begin) * 32);
      *++last = {at, t.stride * 2, kStepBytes, std::min(to, whole) - from};
    }
    const int64_t rest = std::max(from, whole);
    if (rest < to) *++last = {laid + (rest - steps.from) * kHigh * kStepBytes, kStepBytes, kHigh * kStepBytes, to - rest};
    for (int64_t s = rest; s < to; s++) {
      char* out = laid + (s - steps.from) * kHigh * kStepBytes;
      if (problem.a.transposed) turnStep(t, (s - begin) * 32, m, rows, out);
      else copyStep(t, m, rows, (s - begin) * 32, out);
    }
    begin = end;
  }
  return last + 1 - runs;
}

// --- threads ---
// All threads' part in laying out columns of b over some steps: each writes whole panels where rows of b are its columns, rows of all panels else.
void packTogether(const Problem& problem, const Panels& columns, Range steps, float* out, char* staging, const Worker& worker) {
  const int64_t count = steps.to - steps.from, perItem = problem.b.transposed ? 8 : 1, groups = ceilDiv(columns.count(), perItem);  // panels
  const Layout layout{count * kUnits, steps.from * kUnits, kUnits};
  const Range items = share(worker, groups * count);
  for (int64_t i = items.from; i < items.to;) {
    int64_t group, from, to;  // steps
    if (problem.b.transposed) group = i % groups, from = i / groups, to = from + 1, i++;
    else group = i / count, from = i % count, to = std::min(count, from + items.to - i), i += to - from;
    const int64_t first = group * perItem;
    const Panels some{columns.start(first), columns.start(std::min(columns.count(), first + perItem)), false};
    pack(problem, problem.b, Form::bf16, some, (steps.from + from) * kUnits, (steps.from + to) * kUnits, out + columns.at(first, layout.depth), layout, staging);
  }
}

// down × across threads, so that the longest share of high × wide panels is the shortest. In k-steps of a pair of panels (64 cycles of the
// tiles), a panel costs about one to bring near, and two more for rows that are laid out.
struct Split {
  int64_t down, across;
};
Split splitOf(int64_t high, int64_t wide, bool laid, int64_t threads) {
  Split best{threads, 1};
  int64_t least = INT64_MAX;
  for (int64_t across = 1; across <= threads; across++) {
    const int64_t down = threads / across, m = ceilDiv(high, down), n = ceilDiv(wide, across), cost = m * n + n + (laid ? 3 : 1) * m;
    if (cost < least) least = cost, best = {down, across};
  }
  return best;
}
// A thread's panels
struct Share {
  Range rows, cols;
};
Share shareOf(int64_t high, int64_t wide, bool laid, const Worker& worker) {
  const Split split = splitOf(high, wide, laid, worker.count);
  const int64_t i = worker.id / split.across, j = worker.id % split.across;
  if (i >= split.down) return {{0, 0}, {0, 0}};
  return {{high * i / split.down, high * (i + 1) / split.down}, {wide * j / split.across, wide * (j + 1) / split.across}};
}

// How a worker's scratch is divided
struct TileScratch {
  static constexpr int64_t kStaging = Scratch::kStaging, kBias = (kSumCols + kWide) * 4, kRuns = kGroup * (2 * kMostParts + 2) * sizeof(Run);
  static constexpr int64_t kLaid = kGroup * kDepth * kHigh * kStepBytes;
  static_assert(kStaging + kBias + kRuns + kLaid + kSums + 5 * 64 <= kScratchBytes);
  char *staging, *laid;
  float *bias, *sums;
  Run* runs;
  explicit TileScratch(const Worker& worker) {
    char* at = worker.scratch;
    auto take = [&](int64_t bytes) { return std::exchange(at, at + (bytes + 63) / 64 * 64); };
    staging = take(kStaging);
    bias = reinterpret_cast<float*>(take(kBias));
    runs = reinterpret_cast<Run*>(take(kRuns));
    laid = take(kLaid);
    sums = reinterpret_cast<float*>(take(kSums));
  }
};

// Columns of b over some blocks of the reduction, laid out at `b`
struct Laid {
  const float* b;
  Panels columns;
  int64_t steps, blocks;  // of the whole reduction
  Range taken;            // blocks that are laid out
  Range block(int64_t i) const { return {steps * i / blocks, steps * (i + 1) / blocks}; }
  Range stepsTaken() const { return {block(taken.from).from, block(taken.to - 1).to}; }
};

// One thread's rectangle: panels of rows from `row` on, panels of the columns that are laid out. Sums of a reduction that is laid out piece
// by piece are kept for all of it, else for the panels at hand.
class Rectangle {
 public:
  Rectangle(const Problem& problem, int64_t row, const Share& own, const TileScratch& scratch, Worker& worker)
      : problem_(problem), row_(row), own_(own), scratch_(scratch), worker_(worker) {}

  void multiply(const Laid& laid) {
    const bool whole = laid.taken.to - laid.taken.from == laid.blocks;
    const int64_t width = kSumCols / kWide;
    for (int64_t p0 = own_.rows.from; p0 < own_.rows.to; p0 += kGroup) {
      high_ = std::min(kGroup, own_.rows.to - p0);
      top_ = row_ + p0 * kHigh;
      for (int64_t q0 = own_.cols.from; q0 < own_.cols.to; q0 += width) {
        const Range cols{q0, std::min(own_.cols.to, q0 + width)};
        const int64_t first = laid.columns.start(q0), wide = (own_.cols.to - own_.cols.from) * kWide;
        loadBias(problem_.epilogue, first, laid.columns.start(cols.to) - first, scratch_.bias);
        float* kept = scratch_.sums + (p0 - own_.rows.from) * kHigh * wide + (q0 - own_.cols.from) * kWide;
        for (int64_t i = laid.taken.from; i < laid.taken.to; i++) {
          if (worker_.aborted()) return;
          if (laid.blocks > 1 || q0 == own_.cols.from) findRows(laid.block(i));
          multiplyBlock(laid, i, cols, whole ? scratch_.sums : kept, whole ? kSumCols : wide);
        }
      }
    }
  }

 private:
  const Problem& problem_;
  int64_t row_;
  Share own_;
  const TileScratch& scratch_;
  Worker& worker_;
  int64_t high_ = 0, top_ = 0;  // panels of rows at hand, and the first row
  const Run* runs_[kGroup];
  int64_t counts_[kGroup];

  int64_t height(int64_t p) const { return std::min(kHigh, problem_.M - (top_ + p * kHigh)); }

  void findRows(Range steps) {
    for (int64_t p = 0; p < high_; p++) {
      Run* at = scratch_.runs + p * (2 * kMostParts + 2);
      counts_[p] = runsOf(problem_, top_ + p * kHigh, height(p), steps, scratch_.laid + p * kDepth * kHigh * kStepBytes, at);
      runs_[p] = at;
    }
  }

  void multiplyBlock(const Laid& laid, int64_t i, Range cols, float* sums, int64_t stride) {
    alignas(64) float tile[kHigh * kWide];
    const bool last = i + 1 == laid.blocks;
    const Range taken = laid.stepsTaken();
    const int64_t units = (taken.to - taken.from) * kUnits, from = (laid.block(i).from - taken.from) * kUnits, first = laid.columns.start(cols.from);
    for (int64_t q = cols.from; q < cols.to; q++) {
      const int64_t n = laid.columns.start(q), step = laid.columns.step(q);
      const char* panel = reinterpret_cast<const char*>(laid.b + laid.columns.at(q, units) + from * step);
      for (int64_t p = 0; p < high_; p++) {
        const bool one = laid.blocks == 1;
        float* c = one ? tile : sums + p * kHigh * stride + n - first;
        panelKernel(height(p), step / W)(runs_[p], counts_[p], panel, c, one ? kWide : stride, i > 0);
        if (last) applyEpilogue(problem_.epilogue, top_ + p * kHigh, n, height(p), laid.columns.size(q), c, one ? kWide : stride, scratch_.bias + n - first);
      }
    }
  }
};

// What is done between two barriers: some columns over some blocks of the reduction, for some rows. Sums don't depend on it.
struct Cut {
  int64_t cols, blocks, rows;
};
Cut cutOf(const Problem& problem, int64_t steps, int64_t blocks, const Worker& worker) {
  const int64_t perColumn = steps * kUnits * 4, wide = std::min(kSumCols, ceilDiv(problem.N, kWide) * kWide);
  if (perColumn * wide <= kHalf) return {kHalf / perColumn / kWide * kWide, blocks, problem.M};
  // too deep for that many columns: the reduction piece by piece, sums of all a thread's columns are kept meanwhile
  Cut cut{wide, std::max<int64_t>(1, kHalf / (wide * kDepth * kUnits * 4)), problem.M};
  auto keeps = [&] {
    const Split split = splitOf(ceilDiv(cut.rows, kHigh), wide / kWide, problem.a.transposed, worker.count);
    return ceilDiv(ceilDiv(cut.rows, kHigh), split.down) * kHigh * ceilDiv(wide / kWide, split.across) * kWide * 4;
  };
  while (keeps() > kSums) cut.rows = ceilDiv(cut.rows, 2 * kHigh) * kHigh;
  return cut;
}

}  // namespace

bool fitsTiles(const Problem& problem) { return problem.form() == Form::bf16 && problem.parts <= kMostParts; }

void multiplyTiles(const Problem& problem, Worker& worker) {
  const int64_t steps = totalSteps(problem), blocks = ceilDiv(steps, kDepth);
  const TileScratch scratch(worker);
  const tiles::Use use;
  const Cut cut = cutOf(problem, steps, blocks, worker);
  int64_t turn = 0;
  for (int64_t m = 0; m < problem.M; m += cut.rows) {
    const int64_t high = ceilDiv(std::min(cut.rows, problem.M - m), kHigh);
    for (int64_t n = 0; n < problem.N; n += cut.cols) {
      const Panels columns{n, std::min(problem.N, n + cut.cols), false};
      Rectangle own(problem, m, shareOf(high, columns.count(), problem.a.transposed, worker), scratch, worker);
      for (int64_t i = 0; i < blocks; i += cut.blocks, turn++) {
        // The halves take turns: whoever writes one has passed a barrier since it was last read.
        float* b = reinterpret_cast<float*>(worker.shared + turn % 2 * kHalf);
        const Laid laid{b, columns, steps, blocks, {i, std::min(blocks, i + cut.blocks)}};
        packTogether(problem, columns, laid.stepsTaken(), b, scratch.staging, worker);
        worker.barrier();
        own.multiply(laid);
        if (worker.aborted()) return;
      }
    }
  }
}

#endif

}  // namespace saqr::gemm
