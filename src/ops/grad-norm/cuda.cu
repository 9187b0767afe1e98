// ‖g‖₂ in f64: a fixed number of blocks sums fixed shares, one block sums the shares in order.
#include "../cuda.cuh"

extern "C" __global__ void __launch_bounds__(256) grad_norm_shares(unsigned n, const float* g, double* shares) {
  __shared__ double slots[8];
  double sum = 0;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += static_cast<double>(g[i]) * g[i];
  sum = blockSum<8>(sum, slots);
  if (threadIdx.x == 0) shares[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) grad_norm_total(int count, const double* shares, float* norm) {
  __shared__ double slots[8];
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += shares[i];
  sum = blockSum<8>(sum, slots);
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(sum));
}
