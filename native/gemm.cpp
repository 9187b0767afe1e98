// How a product is cut: between threads, and into blocks that fit the caches.
#include "gemm.hpp"
#include <algorithm>
#include <cmath>
#include "gemm-kernel.hpp"
#include "gemm-pack.hpp"

namespace saqr::gemm {

constexpr int64_t kDepth = 1024;                    // units of a block of the reduction
constexpr int64_t kRows = W == 8 ? 96 : 8 * kTall;  // of a block of a: with kDepth, half of the second cache
constexpr int64_t kLaidOut = 4 << 20;               // bytes of a block of b
constexpr int64_t kSums = 2560 << 10;               // bytes of c between two blocks of the reduction
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
    a = reinterpret_cast<float*>(take(Panels::floats(kRows, kTall, kDepth) * 4));
    b = reinterpret_cast<float*>(take(kLaidOut));
    c = reinterpret_cast<float*>(take(kSums));
  }
};
static_assert(kStaging + kMaxVectors * 4 + (kRows + kTall) * kDepth * 4 + kLaidOut + kSums + (64 << 10) < kScratchBytes);

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
  const Panels panels{0, problem.N, kWide, false};
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
      directKernel(form, height, wide / W)(parts, problem.parts, panels.at(scratch.b, q, units), c, kWide);
      finish(problem.finish, m, n, height, panels.size(q), c, kWide, scratch.bias + n);
    }
  }
}

static void multiplyPacked(const Problem& problem, Form form, int64_t units, Worker& worker) {
  Scratch scratch(worker.scratch);
  const Area area = areaOf(problem, worker, kWide);
  if (area.m.from == area.m.to || area.n.from == area.n.to) return;
  const int64_t depthBlocks = std::max<int64_t>(1, (units + kDepth - 1) / kDepth), depth = (units + depthBlocks - 1) / depthBlocks;
  // columns of a block, so that it and its sums fit
  const int64_t fitting = kLaidOut / 4 / depth / kWide * kWide - 2 * kWide;
  const int64_t cols = std::min({fitting, int64_t{2048}, (area.n.to - area.n.from + kWide - 1) / kWide * kWide});
  const int64_t rowsAtOnce = depthBlocks == 1 ? problem.M : std::max(kRows, kSums / 4 / cols / kRows * kRows);
  alignas(64) float tile[kTall * kWide];
  for (int64_t m0 = area.m.from; m0 < area.m.to; m0 += rowsAtOnce) {
    const int64_t m1 = std::min(area.m.to, m0 + rowsAtOnce);
    for (int64_t n0 = area.n.from; n0 < area.n.to; n0 += cols) {
      const Panels b{n0, std::min(area.n.to, n0 + cols), kWide, false};
      loadBias(problem.finish, n0, b.to - n0, scratch.bias);
      for (int64_t block = 0; block < depthBlocks; block++) {
        const int64_t from = units * block / depthBlocks, to = units * (block + 1) / depthBlocks;
        const bool last = block + 1 == depthBlocks;
        pack(problem, problem.b, form, b, from, to, scratch.b, scratch.staging);
        for (int64_t m = m0; m < m1; m += kRows) {
          if (worker.aborted()) return;
          const Panels a{m, std::min(m1, m + kRows), kTall, true};
          pack(problem, problem.a, form, a, from, to, scratch.a, scratch.staging);
          for (int64_t q = 0; q < b.count(); q++) {
            const int64_t n = b.start(q), wide = b.step(q);
            for (int64_t p = 0; p < a.count(); p++) {
              const int64_t row = a.start(p), height = a.size(p);
              float* c = depthBlocks == 1 ? tile : scratch.c + (row - m0) * cols + (n - n0);
              const int64_t stride = depthBlocks == 1 ? kWide : cols;
              tileKernel(form, height, wide / W)(to - from, a.at(scratch.a, p, to - from), b.at(scratch.b, q, to - from), c, stride, block > 0);
              if (last) finish(problem.finish, row, n, height, b.size(q), c, stride, scratch.bias + (n - n0));
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
  if (own && Panels::floats(problem.N, kWide, units) * 4 <= kLaidOut) multiplyDirect(problem, form, units, worker);
  else multiplyPacked(problem, form, units, worker);
}

}  // namespace saqr::gemm
