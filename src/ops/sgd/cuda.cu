#include "../cuda.cuh"
#include "../update.cuh"
#include "attrs.cuh"

extern "C" __global__ void __launch_bounds__(256) sgd(unsigned n, float* p, float* g, const float* norm, const float* stepFloats, sgd_attrs a) {
  if (!isfinite(*norm)) return;
  const StepScale s = stepScale(norm, stepFloats, a.rate);
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    p[i] -= s.lr * (g[i] * s.clip + a.weightDecay * p[i]);
    g[i] = 0;
  }
}

extern "C" __global__ void __launch_bounds__(256) sgd_momentum(unsigned n, float* p, float* g, float* m, const float* norm, const float* stepFloats,
                                                               sgd_momentum_attrs a) {
  if (!isfinite(*norm)) return;
  const StepScale s = stepScale(norm, stepFloats, a.rate);
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float gradient = g[i] * s.clip + a.weightDecay * p[i];
    float moment = a.momentum * m[i] + gradient;
    p[i] -= s.lr * (a.nesterov ? gradient + a.momentum * moment : moment);
    m[i] = moment;
    g[i] = 0;
  }
}
