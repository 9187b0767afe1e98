// Adafactor of one tensor of `rows` rows in all, `height` a matrix (a vector: cols columns of no row): moments, the update's size, the update.
// Sums go by fixed shares, whatever the card.
#include "../cuda.cuh"
#include "../update.cuh"
#include "attrs.cuh"

struct Tensors {
  float *p, *g, *state;
  const float *norm, *stepFloats;
  int height, rows, cols, matrices;
};

__device__ __forceinline__ StepScale scaleOf(const Tensors& t, float rate) { return stepScale(t.norm, t.stepFloats, rate); }
// 1 − β
__device__ __forceinline__ float gainOf(const Tensors& t) { return static_cast<float>(pow(static_cast<double>(t.stepFloats[2]), -0.8)); }
__device__ __forceinline__ float moved(float old, float square, float gain) { return (1.0f - gain) * old + gain * square; }

constexpr float EPS = 1e-30f;

// R: a block a row
extern "C" __global__ void __launch_bounds__(256) adafactor_rows(Tensors t) {
  __shared__ double slots[8];
  if (!isfinite(*t.norm)) return;
  float clip = scaleOf(t, 1.0f).clip, gain = gainOf(t);
  for (int row = blockIdx.x; row < t.rows; row += gridDim.x) {
    const float* x = t.g + static_cast<long long>(row) * t.cols;
    double sum = 0;
    for (int j = threadIdx.x; j < t.cols; j += blockDim.x) {
      float gradient = x[j] * clip;
      sum += static_cast<double>(gradient * gradient + EPS);
    }
    sum = blockSum<8>(sum, slots);
    if (threadIdx.x == 0) t.state[row] = moved(t.state[row], static_cast<float>(sum / t.cols), gain);
  }
}

// shares of the sums of C: block (columns, share, matrix) -> sums (matrices, shares, cols)
extern "C" __global__ void __launch_bounds__(128) adafactor_columns(Tensors t, double* sums, int shares) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= t.cols || !isfinite(*t.norm)) return;
  float clip = scaleOf(t, 1.0f).clip;
  int size = (t.height + shares - 1) / shares, from = blockIdx.y * size, to = min(from + size, t.height);
  const float* x = t.g + static_cast<long long>(blockIdx.z) * t.height * t.cols + j;
  double sum = 0;
  for (int row = from; row < to; row++) {
    float gradient = x[static_cast<long long>(row) * t.cols] * clip;
    sum += static_cast<double>(gradient * gradient + EPS);
  }
  sums[(static_cast<long long>(blockIdx.z) * shares + blockIdx.y) * t.cols + j] = sum;
}

// C out of its shares; and by the block behind the last column the mean of R: block (columns + 1, matrix)
extern "C" __global__ void __launch_bounds__(128) adafactor_means(Tensors t, const double* sums, int shares, float* means) {
  __shared__ double slots[4];
  if (!isfinite(*t.norm)) return;
  int matrix = blockIdx.y;
  if (blockIdx.x + 1 == gridDim.x) {
    double sum = 0;
    for (int i = threadIdx.x; i < t.height; i += blockDim.x) sum += t.state[matrix * t.height + i];
    sum = blockSum<4>(sum, slots);
    if (threadIdx.x == 0) means[matrix] = static_cast<float>(sum / t.height);
    return;
  }
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= t.cols) return;
  double sum = 0;
  for (int share = 0; share < shares; share++) sum += sums[(static_cast<long long>(matrix) * shares + share) * t.cols + j];
  float* c = t.state + t.rows + static_cast<long long>(matrix) * t.cols + j;
  *c = moved(*c, static_cast<float>(sum / t.height), gainOf(t));
}

// the update of element i, before it is damped and scaled
__device__ __forceinline__ float update(const Tensors& t, const float* means, float clip, long long i) {
  float gradient = t.g[i] * clip;
  if (t.height == 0) return gradient / sqrtf(t.state[i]);
  long long row = i / t.cols;
  int matrix = static_cast<int>(row / t.height);
  float c = t.state[t.rows + static_cast<long long>(matrix) * t.cols + (i - row * t.cols)];
  return gradient / sqrtf(t.state[row] / means[matrix]) / sqrtf(c);
}

// V of a vector
extern "C" __global__ void __launch_bounds__(256) adafactor_vector(Tensors t) {
  if (!isfinite(*t.norm)) return;
  float clip = scaleOf(t, 1.0f).clip, gain = gainOf(t);
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < t.cols; i += gridDim.x * blockDim.x) {
    float gradient = t.g[i] * clip;
    t.state[i] = moved(t.state[i], gradient * gradient + EPS, gain);
  }
}

extern "C" __global__ void __launch_bounds__(256) adafactor_size(Tensors t, const float* means, double* squares) {
  __shared__ double slots[8];
  float clip = scaleOf(t, 1.0f).clip;
  long long n = static_cast<long long>(max(t.rows, 1)) * t.cols;
  double sum = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += static_cast<long long>(gridDim.x) * blockDim.x) {
    float u = update(t, means, clip, i);
    sum += static_cast<double>(u) * u;
  }
  sum = blockSum<8>(sum, slots);
  if (threadIdx.x == 0) squares[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(256) adafactor_move(Tensors t, const float* means, const double* squares, int count, adafactor_attrs a) {
  __shared__ double slots[8];
  if (!isfinite(*t.norm)) return;
  double all = 0;
  for (int k = threadIdx.x; k < count; k += blockDim.x) all += squares[k];
  all = blockSum<8>(all, slots);
  long long n = static_cast<long long>(max(t.rows, 1)) * t.cols;
  const StepScale s = scaleOf(t, a.rate);
  float step = s.lr / static_cast<float>(fmax(1.0, sqrt(all / static_cast<double>(n)))), decay = 1.0f - s.lr * a.weightDecay;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += static_cast<long long>(gridDim.x) * blockDim.x) {
    t.p[i] = t.p[i] * decay - step * update(t, means, s.clip, i);
    t.g[i] = 0;
  }
}
