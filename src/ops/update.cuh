// What rules of optimisers share: the learning rate of a range and what its gradient is multiplied with.
#pragma once

struct StepScale {
  float lr, clip;
};

// stepFloats: lr, maxNorm (0: no clipping)
__device__ __forceinline__ StepScale stepScale(const float* norm, const float* stepFloats, float rate) {
  float maxNorm = stepFloats[1];
  return {stepFloats[0] * rate, maxNorm > 0 ? fminf(1.0f, maxNorm / (*norm + 1e-6f)) : 1.0f};
}
