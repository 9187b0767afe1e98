#include "../cuda.cuh"
#include "attrs.cuh"

// What all elements of a step share, worked out once a block (the corrections in f64: βᵗ is close to 1 for many steps).
struct StepNumbers {
  float lr, clip, root2, stepSize;  // √(1 − β2ᵗ), lr / (1 − β1ᵗ)
};
struct Options {
  float rest1, rest2;  // 1 − β1, 1 − β2
  adamw_attrs attrs;
};

__device__ StepNumbers readStep(const float* norm, const float* stepFloats, double beta1, double beta2, float rate) {
  __shared__ StepNumbers s;
  if (threadIdx.x == 0) {
    float lr = stepFloats[0] * rate, maxNorm = stepFloats[1];
    double t = stepFloats[2];
    float clip = maxNorm > 0 ? fminf(1.0f, maxNorm / (*norm + 1e-6f)) : 1.0f;
    s = {lr, clip, static_cast<float>(sqrt(1.0 - pow(beta2, t))), static_cast<float>(lr / (1.0 - pow(beta1, t)))};
  }
  __syncthreads();
  return s;
}

__device__ __forceinline__ void update(float& p, float g, float& m, float& v, const StepNumbers& s, const Options& o) {
  g *= s.clip;
  m = o.attrs.beta1 * m + o.rest1 * g;
  v = o.attrs.beta2 * v + o.rest2 * g * g;
  p = p * (1.0f - s.lr * o.attrs.weightDecay) - s.stepSize * m / (sqrtf(v) / s.root2 + o.attrs.eps);
}

extern "C" __global__ void __launch_bounds__(256) adamw(unsigned n, float* p, float* g, float* m, float* v, const float* norm, const float* stepFloats,
                                                        double beta1, double beta2, Options o) {
  if (!isfinite(*norm)) return;
  StepNumbers s = readStep(norm, stepFloats, beta1, beta2, o.attrs.rate);
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    float pi = p[i], mi = m[i], vi = v[i];
    update(pi, g[i], mi, vi, s, o);
    p[i] = pi;
    m[i] = mi;
    v[i] = vi;
    g[i] = 0;
  }
}

// index of the nearest of 256 sorted values, the lower one on a tie
__device__ int nearest(const float* map, float x) {
  int low = 0, high = 255;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (map[middle] <= x) low = middle;
    else high = middle;
  }
  return map[high] - x < x - map[low] ? high : low;
}

__device__ float blockMax(float x, float* slots) {
  x = warpMax(x);
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
  __syncthreads();
  float top = slots[0];
  for (int w = 1; w < 8; w++) top = fmaxf(top, slots[w]);
  __syncthreads();
  return top;
}

// one block of threads a block of 256 elements: codes to values, the update, a new absmax, values to codes
extern "C" __global__ void __launch_bounds__(256) adamw_8bit(unsigned n, float* p, float* g, unsigned char* m, unsigned char* v, float* absmaxM,
                                                             float* absmaxV, const float* mapM, const float* mapV, const float* norm,
                                                             const float* stepFloats, double beta1, double beta2, Options o) {
  __shared__ float signedMap[256], unsignedMap[256], slots[8];
  signedMap[threadIdx.x] = mapM[threadIdx.x];
  unsignedMap[threadIdx.x] = mapV[threadIdx.x];
  if (!isfinite(*norm)) return;
  StepNumbers s = readStep(norm, stepFloats, beta1, beta2, o.attrs.rate);
  unsigned i = blockIdx.x * 256 + threadIdx.x;
  float mi = 0, vi = 0;
  if (i < n) {
    float pi = p[i];
    mi = signedMap[m[i]] * absmaxM[blockIdx.x];
    vi = unsignedMap[v[i]] * absmaxV[blockIdx.x];
    update(pi, g[i], mi, vi, s, o);
    p[i] = pi;
    g[i] = 0;
  }
  float topM = blockMax(fabsf(mi), slots), topV = blockMax(fabsf(vi), slots);
  if (i < n) {
    m[i] = nearest(signedMap, topM > 0 ? mi / topM : 0);
    v[i] = nearest(unsignedMap, topV > 0 ? vi / topV : 0);
  }
  if (threadIdx.x == 0) {
    absmaxM[blockIdx.x] = topM;
    absmaxV[blockIdx.x] = topV;
  }
}
