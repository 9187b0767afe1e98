#include "gemm.hpp"
#include "gemm-pack.hpp"

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

bool multiply(const Problem& problem, Worker& worker) {
  if (problem.M < 1 || problem.N < 1) return false;
  if (fitsGemv(problem)) return multiplyGemv(problem, worker), false;
  if (fitsTiles(problem)) return multiplyTiles(problem, worker), true;
  if (fitsDirect(problem)) return multiplyDirect(problem, worker), false;
  if (fitsOuter(problem)) return multiplyOuter(problem, worker), false;
  return multiplyPacked(problem, worker);
}

}  // namespace saqr::gemm
