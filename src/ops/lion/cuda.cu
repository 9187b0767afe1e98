#include "../cuda.cuh"
#include "../update.cuh"
#include "attrs.cuh"

struct Options {
  float rest1, rest2;  // 1 − β1, 1 − β2
  lion_attrs attrs;
};

extern "C" __global__ void __launch_bounds__(256) lion(unsigned n, float* p, float* g, float* m, const float* norm, const float* stepFloats, Options o) {
  if (!isfinite(*norm)) return;
  const lion_attrs a = o.attrs;
  const StepScale s = stepScale(norm, stepFloats, a.rate);
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float gradient = g[i] * s.clip, moment = m[i];
    float towards = a.beta1 * moment + o.rest1 * gradient;
    float move = towards > 0 ? s.lr : towards < 0 ? -s.lr : 0.0f;
    p[i] = p[i] * (1.0f - s.lr * a.weightDecay) - move;
    m[i] = a.beta2 * moment + o.rest2 * gradient;
    g[i] = 0;
  }
}
