#include "gemm-pack.hpp"
#include <algorithm>

namespace saqr::gemm {

void loadBias(const Epilogue& f, int64_t n, int64_t count, float* out) {
  if (f.bias) decode(*f.bias, 0, n, count, out, false);
  else std::fill_n(out, count, 0.0f);
}

template <class Y, class A>
static void rowsOf(const Epilogue& f, int64_t m, int64_t n, int64_t rows, int64_t cols, const float* c, int64_t stride, const float* bias) {
  const vf alpha = set1(f.alpha);
  for (int64_t i = 0; i < rows; i++, c += stride) {
    Y* y = static_cast<Y*>(f.y->data) + (m + i) * f.y->stride + n;
    const A* addend = f.addend ? static_cast<const A*>(f.addend->data) + (m + i) * f.addend->stride + n : nullptr;
    int64_t j = 0;
    for (; j + W <= cols; j += W) {
      vf v = fma(load(c + j), alpha, load(bias + j));
      storeF(y + j, addend ? v + loadF(addend + j) : v);
    }
    if (int rest = static_cast<int>(cols - j)) {
      vf v = fma(load(c + j), alpha, load(bias + j));
      storeFirst(y + j, addend ? v + loadFirst(addend + j, rest) : v, rest);
    }
  }
}

void applyEpilogue(const Epilogue& f, int64_t m, int64_t n, int64_t rows, int64_t cols, const float* c, int64_t stride, const float* bias) {
  const bool half = f.y->dtype == DType::bf16, halfAddend = f.addend && f.addend->dtype == DType::bf16;
  auto write = half ? (halfAddend ? rowsOf<bf16, bf16> : rowsOf<bf16, float>) : (halfAddend ? rowsOf<float, bf16> : rowsOf<float, float>);
  write(f, m, n, rows, cols, c, stride, bias);
}

}  // namespace saqr::gemm
