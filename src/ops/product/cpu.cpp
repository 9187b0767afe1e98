// y = alpha · Σ_p x_p · w_pᵀ + bias + addend (op.ts)
#include <algorithm>
#include "gemm-decode.hpp"

namespace saqr {

static float dot(const float* a, const float* b, int64_t n) {
  vf total{};
  int64_t i = 0;
  for (; i + W <= n; i += W) total = fma(load(a + i), load(b + i), total);
  float s = sum(total);
  for (; i < n; i++) s += a[i] * b[i];
  return s;
}

SAQR_KERNEL(product) {
  const Tensor &y = step.tensors[0], *in = step.tensors + step.outputs;
  const float alpha = static_cast<float>(step.attrs[0]);
  const bool trans = step.attrs[1] != 0;
  const int parts = (step.inputs - 2) / 2;
  for (int p = 0; p < 2 * parts; p++) {
    if (!gemm::decodable(in[2 + p])) return worker.fail("product: a dtype it doesn't multiply");
  }
  Range rows = share(worker, y.rows);
  constexpr int64_t kRows = 32, kCols = 32;
  float* xs = reinterpret_cast<float*>(worker.scratch);
  for (int64_t m0 = rows.from; m0 < rows.to; m0 += kRows) {
    int64_t ms = std::min(kRows, rows.to - m0);
    for (int64_t n0 = 0; n0 < y.cols && !worker.aborted(); n0 += kCols) {
      int64_t ns = std::min(kCols, y.cols - n0);
      float total[kRows][kCols] = {};
      for (int p = 0; p < parts; p++) {
        const Tensor &x = in[2 + 2 * p], &w = in[3 + 2 * p];
        const bool rounded = x.dtype == DType::bf16;
        constexpr int64_t kDepth = 1024;
        for (int64_t k0 = 0; k0 < x.cols; k0 += kDepth) {
          int64_t ks = std::min(kDepth, x.cols - k0);
          float *ws = xs + kRows * kDepth, *line = ws + kCols * kDepth;
          for (int64_t m = 0; m < ms; m++) gemm::decode(x, m0 + m, k0, ks, xs + m * ks, false);
          for (int64_t n = 0; n < (trans ? 0 : ns); n++) gemm::decode(w, n0 + n, k0, ks, ws + n * ks, rounded);
          for (int64_t k = 0; k < (trans ? ks : 0); k++) {
            gemm::decode(w, k0 + k, n0, ns, line, rounded);
            for (int64_t n = 0; n < ns; n++) ws[n * ks + k] = line[n];
          }
          for (int64_t m = 0; m < ms; m++) {
            for (int64_t n = 0; n < ns; n++) total[m][n] += dot(xs + m * ks, ws + n * ks, ks);
          }
        }
      }
      for (int64_t m = 0; m < ms; m++) {
        float bias[kCols] = {}, addend[kCols] = {};
        if (in[1].data) gemm::decode(in[1], 0, n0, ns, bias, false);
        if (in[0].data) gemm::decode(in[0], m0 + m, n0, ns, addend, false);
        for (int64_t n = 0; n < ns; n++) {
          float v = total[m][n] * alpha + bias[n] + addend[n];
          int64_t at = (m0 + m) * y.stride + n0 + n;
          if (y.dtype == DType::f32) static_cast<float*>(y.data)[at] = v;
          else static_cast<bf16*>(y.data)[at] = toBf16(v);
        }
      }
    }
  }
}

}  // namespace saqr
