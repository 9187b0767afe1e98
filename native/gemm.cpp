// How a product is cut: between threads, and into blocks that fit the caches.
#include "gemm.hpp"
#include <algorithm>
#include <cmath>
#include "gemm-kernel.hpp"
#include "gemm-pack.hpp"

namespace saqr::gemm {

constexpr int64_t kDepth = 768;                     // units of a block of the reduction
constexpr int64_t kRows = W == 8 ? 96 : 8 * kTall;  // of a block of a: with kDepth, half of the second cache
constexpr int64_t kLaidOut = 4 << 20;               // bytes of a block of b
constexpr int64_t kSums = 2560 << 10;               // bytes of c between two blocks of the reduction
constexpr int64_t kPastCaches = 32 << 20;           // bytes of a result that no cache keeps
constexpr int64_t kDirectCols = 64;                 // up to here laying out a costs more than it saves

// A worker's scratch
struct Scratch {
  char* staging;
  float *bias, *a, *b, *c;
  explicit Scratch(char* base) {
    auto take = [&](int64_t bytes) {
      char* at = base;
      base += (bytes + 4095) / 4096 * 4096;
      return at;
    };
    staging = take(kStaging);
    bias = reinterpret_cast<float*>(take((kMaxVectors + kWide) * 4));
    a = reinterpret_cast<float*>(take(kRows / kTall * kTallStep * kDepth * 4));
    b = reinterpret_cast<float*>(take(kLaidOut));
    c = reinterpret_cast<float*>(take(kSums));
  }
};
static_assert(kStaging + kMaxVectors * 4 + kRows / kTall * kTallStep * kDepth * 4 + kLaidOut + kSums + (64 << 10) < kScratchBytes);

Form Problem::form() const {
  for (int p = 0; p < parts; p++) {
    if (!kBf16Dot || a.part(p).dtype != DType::bf16) {
      for (int q = 0; q < parts; q++) {
        if (rounded(q)) return Form::rounded;
      }
      return Form::f32;
    }
  }
  return Form::bf16;
}

const char* Problem::refusal() const {
  for (int p = 0; p < parts; p++) {
    const DType x = a.part(p).dtype;
    if ((x != DType::f32 && x != DType::bf16) || !decodable(b.part(p))) return "a product's operand has a dtype that can't be multiplied";
    if (a.depth(p) != b.depth(p)) return "a product's operands differ in the size they are multiplied along";
  }
  const Tensor *out = finish.y, *addend = finish.addend;
  if ((out->dtype != DType::f32 && out->dtype != DType::bf16) || (addend && addend->dtype != DType::f32 && addend->dtype != DType::bf16)) {
    return "a product's result and addend must be f32 or bf16";
  }
  return nullptr;
}

static int64_t totalUnits(const Problem& problem, Form form) {
  int64_t units = 0;
  for (int p = 0; p < problem.parts; p++) units += unitsOf(form, problem.a.depth(p));
  return units;
}

struct Area {
  Range m, n;
};

// Threads as a grid over (M, N): the cut that is done first, laying out counted (in multiply-adds for an element of the reduction).
static Area areaOf(const Problem& problem, const Worker& worker, int64_t colGrain) {
  const int64_t colBlocks = (problem.N + colGrain - 1) / colGrain;
  const bool decoded = problem.b.part(0).dtype == DType::nf4;
  int best = 1;
  double least = 1e300;
  for (int down = 1; down <= worker.count; down++) {
    if (worker.count % down) continue;
    int64_t across = worker.count / down;
    double m = static_cast<double>((problem.M + down - 1) / down), n = static_cast<double>((colBlocks + across - 1) / across * colGrain);
    double cost = m * n + 5 * m * std::ceil(n / 2048) + (decoded ? 15 : 5) * n;
    if (cost < least) least = cost, best = down;
  }
  const int across = worker.count / best, i = worker.id / across, j = worker.id % across;
  auto cut = [&](int64_t at) { return std::min(problem.N, colBlocks * at / across * colGrain); };
  return {{problem.M * i / best, problem.M * (i + 1) / best}, {cut(j), cut(j + 1)}};
}

// Rows of a are read where they lie: for few columns.
static void multiplyDirect(const Problem& problem, Form form, int64_t units, Worker& worker) {
  Scratch scratch(worker.scratch);
  const Range rows = share(worker, problem.M);
  if (rows.from == rows.to) return;
  const Panels panels{0, problem.N, false};
  pack(problem, problem.b, form, panels, 0, units, scratch.b, scratch.staging);
  loadBias(problem.finish, 0, problem.N, scratch.bias);
  constexpr int kMaxParts = 64;
  alignas(64) float c[kDirect * kWide];
  const int64_t count = (rows.to - rows.from + kDirect - 1) / kDirect;
  for (int64_t i = 0; i < count; i++) {
    if (i % 64 == 0 && worker.aborted()) return;
    const int64_t m = rows.from + (rows.to - rows.from) * i / count, height = rows.from + (rows.to - rows.from) * (i + 1) / count - m;
    Rows parts[kMaxParts];
    for (int p = 0; p < problem.parts; p++) {
      const Tensor& t = problem.a.part(p);
      parts[p] = {static_cast<const char*>(t.data) + m * t.stride * (form == Form::bf16 ? 2 : 4), t.stride, t.cols};
    }
    for (int64_t q = 0; q < panels.count(); q++) {
      const int64_t n = panels.start(q), wide = panels.step(q);
      directKernel(form, height, wide / W)(parts, problem.parts, scratch.b + panels.at(q, units), c, kWide);
      finish(problem.finish, m, n, height, panels.size(q), c, kWide, scratch.bias + n);
    }
  }
}

// Brings the rows of a that are laid out next near the processor, a few lines at every tile. (Only of the first part: the others are small.)
class Ahead {
 public:
  Ahead(const Problem& problem, Form form, Range m, int64_t from, int64_t to) {
    const Tensor& t = problem.a.part(0);
    const int64_t bytes = t.dtype == DType::f32 ? 4 : 2, perUnit = form == Form::bf16 ? 2 : 1;
    const Range k{from * perUnit, std::min(to * perUnit, problem.a.depth(0))};
    if (m.from >= m.to || k.from >= k.to) return;
    const Range &down = problem.a.down ? k : m, &along = problem.a.down ? m : k;
    stride_ = t.stride * bytes;
    row_ = static_cast<const char*>(t.data) + down.from * stride_ + along.from * bytes;
    rows_ = down.to - down.from;
    lines_ = (along.to - along.from) * bytes / 64 + 1;
  }
  int64_t lines() const { return rows_ * lines_; }
  SAQR_INLINE void fetch(int64_t count) {
    for (; count > 0 && rows_ > 0; count--) {
      __builtin_prefetch(row_ + line_ * 64, 0, 2);
      if (++line_ == lines_) line_ = 0, row_ += stride_, rows_--;
    }
  }

 private:
  const char* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, lines_ = 0, line_ = 0;
};

// Results in the form's own dtype are finished inside the tile kernel.
class Results {
 public:
  Results(const Finish& f, Form form, const float* bias) : f_(f), bias_(bias) {
    const DType own = form == Form::bf16 ? DType::bf16 : DType::f32;
    direct_ = f.y->dtype == own && (!f.addend || f.addend->dtype == own);
    bytes_ = f.y->dtype == DType::f32 ? 4 : 2;
    past_ = form == Form::bf16 && f.y->rows * f.y->stride * bytes_ > kPastCaches && f.y->stride % 32 == 0 && reinterpret_cast<uintptr_t>(f.y->data) % 64 == 0;
  }
  // of a whole tile at (m, n); its place is fetched while the tile is computed. `column`: n's place among the biases
  const Result* at(int64_t m, int64_t n, int64_t rows, int64_t cols, int64_t column) {
    char* y = static_cast<char*>(f_.y->data) + (m * f_.y->stride + n) * bytes_;
    if (!past_) {
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols * bytes_; j += 64) __builtin_prefetch(y + i * f_.y->stride * bytes_ + j, 1, 3);
      }
    }
    if (!direct_ || cols % W) return nullptr;
    const Tensor* a = f_.addend;
    result_ = {y, a ? static_cast<const char*>(a->data) + (m * a->stride + n) * bytes_ : nullptr, f_.y->stride, a ? a->stride : 0, bias_ + column, f_.alpha, past_};
    return &result_;
  }

 private:
  const Finish& f_;
  const float* bias_;
  Result result_;
  int64_t bytes_;
  bool direct_, past_;
};

static void multiplyPacked(const Problem& problem, Form form, int64_t units, Worker& worker) {
  Scratch scratch(worker.scratch);
  const Area area = areaOf(problem, worker, kWide);
  if (area.m.from == area.m.to || area.n.from == area.n.to) return;
  const int64_t depthBlocks = std::max<int64_t>(1, (units + kDepth - 1) / kDepth), depth = (units + depthBlocks - 1) / depthBlocks;
  // columns of a block, so that it and its sums fit
  const int64_t fitting = kLaidOut / 4 / depth / kWide * kWide;
  const int64_t cols = std::min({fitting, int64_t{2048}, (area.n.to - area.n.from + kWide - 1) / kWide * kWide});
  const int64_t rowsAtOnce = depthBlocks == 1 ? problem.M : std::max(kRows, kSums / 4 / cols / kRows * kRows);
  alignas(64) float tile[kTall * kWide];
  Results results(problem.finish, form, scratch.bias);
  for (int64_t m0 = area.m.from; m0 < area.m.to; m0 += rowsAtOnce) {
    const int64_t m1 = std::min(area.m.to, m0 + rowsAtOnce);
    for (int64_t n0 = area.n.from; n0 < area.n.to; n0 += cols) {
      const Panels b{n0, std::min(area.n.to, n0 + cols), false};
      loadBias(problem.finish, n0, b.to - n0, scratch.bias);
      for (int64_t block = 0; block < depthBlocks; block++) {
        const int64_t from = units * block / depthBlocks, to = units * (block + 1) / depthBlocks;
        const bool last = block + 1 == depthBlocks;
        pack(problem, problem.b, form, b, from, to, scratch.b, scratch.staging);
        for (int64_t m = m0; m < m1; m += kRows) {
          if (worker.aborted()) return;
          const Panels a{m, std::min(m1, m + kRows), true};
          pack(problem, problem.a, form, a, from, to, scratch.a, scratch.staging);
          Ahead ahead(problem, form, {m + kRows, std::min(m1, m + 2 * kRows)}, from, to);
          const int64_t atOnce = ahead.lines() / (a.count() * b.count()) + 1;
          for (int64_t q = 0; q < b.count(); q++) {
            const int64_t n = b.start(q), wide = b.step(q);
            for (int64_t p = 0; p < a.count(); p++) {
              const int64_t row = a.start(p), height = a.size(p);
              ahead.fetch(atOnce);
              const Result* whole = last ? results.at(row, n, height, b.size(q), n - n0) : nullptr;
              float* c = depthBlocks == 1 ? tile : scratch.c + (row - m0) * cols + (n - n0);
              const int64_t stride = depthBlocks == 1 ? kWide : cols;
              tileKernel(form, height, wide / W)(to - from, scratch.a + a.at(p, to - from), scratch.b + b.at(q, to - from), c, stride, block > 0, whole);
              if (last && !whole) finish(problem.finish, row, n, height, b.size(q), c, stride, scratch.bias + (n - n0));
            }
          }
        }
      }
    }
  }
}

void multiply(const Problem& problem, Worker& worker) {
  if (fitsFewRows(problem)) return multiplyFewRows(problem, worker);
  const Form form = problem.form();
  const int64_t units = totalUnits(problem, form);
  bool own = !problem.a.down && problem.N <= kDirectCols && problem.parts <= 16;  // a is in the form already
  for (int p = 0; p < problem.parts; p++) own = own && problem.a.part(p).dtype == (form == Form::bf16 ? DType::bf16 : DType::f32);
  if (own && Panels{0, problem.N, false}.floats(units) * 4 <= kLaidOut) multiplyDirect(problem, form, units, worker);
  else multiplyPacked(problem, form, units, worker);
}

}  // namespace saqr::gemm
