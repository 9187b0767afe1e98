#include "../cuda.cuh"
#include "../update.cuh"
#include "attrs.cuh"

extern "C" __global__ void __launch_bounds__(256) rms_step(unsigned n, float* p, float* g, float* v, const float* norm, const float* stepFloats,
                                                           rms_step_attrs a) {
  if (!isfinite(*norm)) return;
  const StepScale s = stepScale(norm, stepFloats, a.rate);
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float gradient = g[i] * s.clip + a.weightDecay * p[i];
    float square = a.kept * v[i] + a.added * gradient * gradient;
    p[i] -= s.lr * gradient / (sqrtf(square) + a.eps);
    v[i] = square;
    g[i] = 0;
  }
}
