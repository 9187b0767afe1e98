#include "gemm.hpp"
#include <algorithm>
#include <cmath>
#include "gemm-pack.hpp"
#include "tiles.hpp"

namespace saqr::gemm {

Form Problem::form() const {
  bool halves = false, all = true;
  for (int p = 0; p < parts; p++) {
    if (rounded(p)) halves = true;
    else all = false;
  }
  return !halves ? Form::f32 : kBf16Dot && all ? Form::bf16 : Form::rounded;
}

const char* Problem::refusal() const {
  auto plain = [](const Tensor* t) { return !t || t->dtype == DType::f32 || t->dtype == DType::bf16; };
  for (int p = 0; p < parts; p++) {
    if (!plain(&a.part(p)) || !decodable(b.part(p))) return "a product's operand has a dtype that can't be multiplied";
    if (a.depth(p) < 1 || a.depth(p) != b.depth(p)) return "a product's operands differ in the size they are multiplied along";
  }
  if (!plain(epilogue.y) || !plain(epilogue.addend)) return "a product's result and addend must be f32 or bf16";
  if (epilogue.bias && !decodable(*epilogue.bias)) return "a product's bias has a dtype that can't be added";
  return nullptr;
}

int64_t totalUnits(const Problem& problem, Form form) {
  int64_t units = 0;
  for (int p = 0; p < problem.parts; p++) units += unitsOf(form, problem.a.depth(p));
  return units;
}

Area areaOf(const Problem& problem, const Worker& worker) {
  const int64_t colBlocks = (problem.N + kWide - 1) / kWide;
  const bool quantised = problem.b.part(0).dtype == DType::nf4 || inBlocks(problem.b.part(0));
  int best = 1;
  double least = 1e300;
  for (int down = 1; down <= worker.count; down++) {
    if (worker.count % down) continue;
    const int64_t across = worker.count / down;
    const double m = static_cast<double>((problem.M + down - 1) / down), n = static_cast<double>((colBlocks + across - 1) / across * kWide);
    // multiply-adds for one element of the reduction; laying one out costs as much as about five
    const double cost = m * n + 5 * m * std::ceil(n / kMaxCols) + (quantised ? 10 : 5) * n;
    if (cost < least) least = cost, best = down;
  }
  const int across = worker.count / best, i = worker.id / across, j = worker.id % across;
  auto column = [&](int64_t at) { return std::min(problem.N, colBlocks * at / across * kWide); };
  return {{problem.M * i / best, problem.M * (i + 1) / best}, {column(j), column(j + 1)}};
}

void multiply(const Problem& problem, Worker& worker) {
  if (problem.M < 1 || problem.N < 1) return;
  if (fitsGemv(problem)) return multiplyGemv(problem, worker);
  if (fitsTiles(problem)) return multiplyTiles(problem, worker);
  if (fitsDirect(problem)) return multiplyDirect(problem, worker);
  if (fitsOuter(problem)) return multiplyOuter(problem, worker);
  multiplyPacked(problem, worker);
}

void between([[maybe_unused]] Worker& worker) {
#if SAQR_TILES
  worker.barrier();
#endif
}

}  // namespace saqr::gemm
