// dW (N, K) += alpha · dYᵀ · x (op.ts)
#include <algorithm>
#include "gemm-decode.hpp"

namespace saqr {

SAQR_KERNEL(weight_grad) {
  const Tensor &dW = step.tensors[0], &dY = step.tensors[1], &x = step.tensors[2];
  const float alpha = static_cast<float>(step.attrs[0]);
  if (dW.dtype != DType::f32 || !gemm::decodable(dY) || !gemm::decodable(x)) return worker.fail("weight_grad: a dtype it doesn't multiply");
  Range rows = share(worker, dW.rows);
  constexpr int64_t kRows = 32, kCols = 512;
  float* total = reinterpret_cast<float*>(worker.scratch);
  for (int64_t n0 = rows.from; n0 < rows.to; n0 += kRows) {
    int64_t ns = std::min(kRows, rows.to - n0);
    for (int64_t k0 = 0; k0 < dW.cols && !worker.aborted(); k0 += kCols) {
      int64_t ks = std::min(kCols, dW.cols - k0);
      float d[kRows], line[kCols];
      std::fill_n(total, kRows * kCols, 0.0f);
      for (int64_t t = 0; t < x.rows; t++) {
        gemm::decode(dY, t, n0, ns, d, false);
        gemm::decode(x, t, k0, ks, line, false);
        for (int64_t n = 0; n < ns; n++) {
          for (int64_t k = 0; k < ks; k++) total[n * kCols + k] += d[n] * line[k];
        }
      }
      for (int64_t n = 0; n < ns; n++) {
        float* out = static_cast<float*>(dW.data) + (n0 + n) * dW.stride + k0;
        for (int64_t k = 0; k < ks; k++) out[k] += alpha * total[n * kCols + k];
      }
    }
  }
}

}  // namespace saqr
