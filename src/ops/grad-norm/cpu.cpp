// ‖gradient‖₂: sums of fixed chunks in f64, then the chunks in order. Which thread sums a chunk changes nothing.
#include "elementwise.hpp"

using namespace saqr;

using vd = double __attribute__((vector_size(W * 4)));  // half as many lanes in the same register
static constexpr int H = W / 2;
static constexpr int64_t kChunks = 512;

static double sumOfSquares(const float* g, int64_t n) {
  using half = float __attribute__((vector_size(H * 4)));
  vd chains[4] = {};
  int64_t i = 0;
  for (; i + 4 * H <= n; i += 4 * H) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
      vd v = __builtin_convertvector(loadAs<half>(g + i + k * H), vd);
      chains[k] += v * v;
    }
  }
  double sum = 0;
  for (; i < n; i++) sum += static_cast<double>(g[i]) * static_cast<double>(g[i]);
  const vd all = (chains[0] + chains[1]) + (chains[2] + chains[3]);
  for (int k = 0; k < H; k++) sum += all[k];
  return sum;
}

SAQR_KERNEL(grad_norm) {
  const Tensor &norm = step.tensors[0], &g = step.tensors[1];
  if (g.dtype != DType::f32 || norm.dtype != DType::f32) return worker.fail("grad_norm takes an f32 gradient");
  const int64_t size = ((g.cols + kChunks - 1) / kChunks + 15) / 16 * 16;
  double* sums = reinterpret_cast<double*>(sharedScratch(worker));
  const Range part = share(worker, kChunks);
  for (int64_t k = part.from; k < part.to; k++) {
    const int64_t from = k * size < g.cols ? k * size : g.cols, to = from + size < g.cols ? from + size : g.cols;
    sums[k] = sumOfSquares(rowOf<F32>(g, 0) + from, to - from);
  }
  worker.barrier();
  if (worker.id != 0) return;
  double sum = 0;
  for (int64_t k = 0; k < kChunks; k++) sum += sums[k];
  *static_cast<float*>(norm.data) = static_cast<float>(std::sqrt(sum));
}
