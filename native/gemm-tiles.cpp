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
constexpr int64_t kSumCols = 1024;  // columns whose sums are kept between two blocks
constexpr int64_t kHalf = kSharedBytes / 2;
constexpr int kMostParts = 64;
static_assert(kWide == 2 * tiles::kRows && kHigh % W == 0);

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
// All threads' part in laying out columns of b: each writes whole panels where rows of b are its columns, rows of all panels else.
void packTogether(const Problem& problem, const Panels& columns, int64_t steps, float* out, char* staging, const Worker& worker) {
  const Layout layout{steps * kUnits, 0, kUnits};
  const int64_t perItem = problem.b.transposed ? 8 : 1, groups = ceilDiv(columns.count(), perItem);  // panels
  const Range items = share(worker, groups * steps);
  for (int64_t i = items.from; i < items.to;) {
    int64_t group, from, to;
    if (problem.b.transposed) group = i % groups, from = i / groups, to = from + 1, i++;
    else group = i / steps, from = i % steps, to = std::min(steps, from + items.to - i), i += to - from;
    const int64_t first = group * perItem;
    const Panels some{columns.start(first), columns.start(std::min(columns.count(), first + perItem)), false};
    pack(problem, problem.b, Form::bf16, some, from * kUnits, to * kUnits, out + columns.at(first, layout.depth), layout, staging);
  }
}

// A thread's rectangle of panels: down × across threads so that the longest share is the shortest. In k-steps of a pair of panels (64
// cycles of the tiles), a panel costs about as much to bring near, and one of a that is laid out twice.
struct Rectangle {
  Range rows, cols;
};
Rectangle rectangleOf(int64_t high, int64_t wide, bool laid, const Worker& worker) {
  int best = 1;
  int64_t least = INT64_MAX;
  for (int across = 1; across <= worker.count; across++) {
    const int64_t m = ceilDiv(high, worker.count / across), n = ceilDiv(wide, across), cost = m * n + n + (laid ? 3 : 1) * m;
    if (cost < least) least = cost, best = across;
  }
  const int down = worker.count / best, i = worker.id / best, j = worker.id % best;
  if (i >= down) return {{0, 0}, {0, 0}};
  return {{high * i / down, high * (i + 1) / down}, {wide * j / best, wide * (j + 1) / best}};
}

// How a worker's scratch is divided
struct TileScratch {
  static constexpr int64_t kStaging = Scratch::kStaging, kBias = (kSumCols + kWide) * 4, kRuns = kGroup * (2 * kMostParts + 2) * sizeof(Run);
  static constexpr int64_t kLaid = kGroup * kDepth * kHigh * kStepBytes, kSums = kGroup * kHigh * kSumCols * 4;
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

// One thread's rectangle of the columns that are laid out at `b`
void multiplyRectangle(const Problem& problem, const Panels& columns, const float* b, const Rectangle& own, int64_t steps, const TileScratch& scratch, Worker& worker) {
  const int64_t blocks = ceilDiv(steps, kDepth), units = steps * kUnits;
  alignas(64) float tile[kHigh * kWide];
  for (int64_t p0 = own.rows.from; p0 < own.rows.to; p0 += kGroup) {
    const int64_t high = std::min(kGroup, own.rows.to - p0), m0 = p0 * kHigh;
    const Run* runs[kGroup];
    int64_t counts[kGroup];
    for (int64_t q0 = own.cols.from; q0 < own.cols.to; q0 += kSumCols / kWide) {
      const int64_t q1 = std::min(own.cols.to, q0 + kSumCols / kWide), n0 = columns.start(q0);
      loadBias(problem.epilogue, n0, columns.start(q1) - n0, scratch.bias);
      for (int64_t i = 0; i < blocks; i++) {
        if (worker.aborted()) return;
        const Range depth{steps * i / blocks, steps * (i + 1) / blocks};
        auto height = [&](int64_t p) { return std::min(kHigh, problem.M - (m0 + p * kHigh)); };
        for (int64_t p = 0; p < high && (blocks > 1 || q0 == own.cols.from); p++) {
          Run* at = scratch.runs + p * (2 * kMostParts + 2);
          counts[p] = runsOf(problem, m0 + p * kHigh, height(p), depth, scratch.laid + p * kDepth * kHigh * kStepBytes, at);
          runs[p] = at;
        }
        for (int64_t q = q0; q < q1; q++) {
          const int64_t n = columns.start(q), step = columns.step(q);
          const char* panel = reinterpret_cast<const char*>(b + columns.at(q, units) + depth.from * kUnits * step);
          for (int64_t p = 0; p < high; p++) {
            const int64_t stride = blocks == 1 ? kWide : kSumCols;
            float* c = blocks == 1 ? tile : scratch.sums + p * kHigh * kSumCols + n - n0;
            panelKernel(height(p), step / W)(runs[p], counts[p], panel, c, stride, i > 0);
            if (i + 1 == blocks) applyEpilogue(problem.epilogue, m0 + p * kHigh, n, height(p), columns.size(q), c, stride, scratch.bias + n - n0);
          }
        }
      }
    }
  }
}

}  // namespace

bool fitsTiles(const Problem& problem) {
  return problem.form() == Form::bf16 && problem.parts <= kMostParts && totalSteps(problem) * kUnits * kWide * 4 <= kHalf;
}

void multiplyTiles(const Problem& problem, Worker& worker) {
  const int64_t steps = totalSteps(problem), units = steps * kUnits;
  const int64_t cols = kHalf / 4 / units / kWide * kWide;  // that are laid out at once
  const TileScratch scratch(worker);
  const tiles::Use use;
  for (int64_t n = 0, i = 0; n < problem.N; n += cols, i++) {
    // The halves take turns: whoever writes one has passed a barrier since it was last read.
    float* b = reinterpret_cast<float*>(worker.shared + i % 2 * kHalf);
    const Panels columns{n, std::min(problem.N, n + cols), false};
    packTogether(problem, columns, steps, b, scratch.staging, worker);
    worker.barrier();
    const Rectangle own = rectangleOf(ceilDiv(problem.M, kHigh), columns.count(), problem.a.transposed, worker);
    multiplyRectangle(problem, columns, b, own, steps, scratch, worker);
    if (worker.aborted()) return;
  }
}

#endif

}  // namespace saqr::gemm
