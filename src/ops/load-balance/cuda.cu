// Loads of a mixture's experts, and the loss over them (op.ts). Tokens are summed up in chunks, then the chunks in order.
#include "../cuda.cuh"
#include "../softmax.cuh"
#include "attrs.cuh"

// partial[chunk] (2 · G, E) of tokens [chunk · size, …), `high` of them at a time: their probabilities and choices lie in shared memory
template <class T>
__device__ void expertLoad(int tokens, int experts, const T* logits, int logitsStride, const int* chosen, int chosenStride, int k,
                           const float* rows, int rowsStride, int batches, int size, int high, float* partial) {
  extern __shared__ float shared[];
  float *p = shared, *is = shared + high * experts;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, half = batches * experts;
  int begin = blockIdx.x * size, end = min(begin + size, tokens);
  float* out = partial + static_cast<long long>(blockIdx.x) * 2 * half;
  for (int first = begin; first < end; first += high) {
    int n = min(high, end - first);
    for (int i = warp; i < n; i += 8) {
      long long t = first + i;
      warpSoftmax(logits + t * logitsStride, experts, p + i * experts);
      for (int e = lane; e < experts; e += 32) is[i * experts + e] = 0;
      __syncwarp();
      for (int j = lane; j < k; j += 32) is[i * experts + chosen[t * chosenStride + j]] = 1;
    }
    __syncthreads();
    for (int at = threadIdx.x; at < 2 * half; at += 256) {
      int g = at % half / experts, e = at % experts;
      const float* from = at < half ? is : p;
      float sum = first == begin ? 0 : out[at];
      for (int i = 0; i < n; i++) {
        float count = rows[static_cast<long long>(first + i) * rowsStride + g];
        if (count != 0) sum += count * from[i * experts + e];
      }
      out[at] = sum;
    }
    __syncthreads();
  }
}

extern "C" __global__ void expert_load_sum(int chunks, int count, int experts, const float* partial, float* load, int stride) {
  int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= count) return;
  float sum = 0;
  for (int c = 0; c < chunks; c++) sum += partial[static_cast<long long>(c) * count + at];
  load[static_cast<long long>(at / experts) * stride + at % experts] = sum;
}

// a token a warp
template <class T>
__device__ void expertLoadBackward(int tokens, int experts, const float* dLoad, int dLoadStride, const T* logits, int logitsStride,
                                   const float* rows, int rowsStride, int batches, T* dLogits, int dLogitsStride) {
  extern __shared__ float shared[];
  int warps = blockDim.x / 32, lane = threadIdx.x % 32;
  float *p = shared + 2 * experts * (threadIdx.x / 32), *v = p + experts;
  long long t = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (t >= tokens) return;
  warpSoftmax(logits + t * logitsStride, experts, p);
  float mean = 0;
  for (int e = lane; e < experts; e += 32) {
    float sum = 0;
    for (int g = 0; g < batches; g++) sum += rows[t * rowsStride + g] * dLoad[static_cast<long long>(batches + g) * dLoadStride + e];
    v[e] = sum;
    mean += p[e] * sum;
  }
  mean = warpSum(mean);
  for (int e = lane; e < experts; e += 32) dLogits[t * dLogitsStride + e] = fromFloat<T>(p[e] * (v[e] - mean));
}

#define KERNEL(suffix, T)                                                                                                                 \
  extern "C" __global__ void __launch_bounds__(256) expert_load_##suffix(int tokens, int experts, const T* logits, int logitsStride,      \
      const int* chosen, int chosenStride, int k, const float* rows, int rowsStride, int batches, int size, int high, float* partial) {   \
    expertLoad<T>(tokens, experts, logits, logitsStride, chosen, chosenStride, k, rows, rowsStride, batches, size, high, partial);        \
  }                                                                                                                                       \
  extern "C" __global__ void expert_load_backward_##suffix(int tokens, int experts, const float* dLoad, int dLoadStride, const T* logits, \
      int logitsStride, const float* rows, int rowsStride, int batches, T* dLogits, int dLogitsStride) {                                  \
    expertLoadBackward<T>(tokens, experts, dLoad, dLoadStride, logits, logitsStride, rows, rowsStride, batches, dLogits, dLogitsStride);  \
  }
FOR_TYPES(KERNEL)

constexpr int kLayers = 128;
struct Loads {
  const float* at[kLayers];
  int stride[kLayers];
  int layers, batches, experts, k;
  __device__ float of(int layer, int row, int e) const { return at[layer][static_cast<long long>(row) * stride[layer] + e]; }
  __device__ double sum(int row, int e) const {
    double all = 0;
    for (int l = 0; l < layers; l++) all += of(l, row, e);
    return all;
  }
};

// n_g² / E
__device__ double share(const Loads& loads, int g, double* slots) {
  double n = 0;
  for (int e = threadIdx.x; e < loads.experts; e += 256) n += loads.sum(g, e);
  n = blockSum<8>(n, slots) / loads.k;
  return n * n / loads.experts;
}

// a block a micro-batch, then a block a layer
extern "C" __global__ void __launch_bounds__(256) balance_loss(const __grid_constant__ Loads loads, float* loss, float* counts, int countsStride) {
  __shared__ double slots[8];
  int G = loads.batches, g = blockIdx.x;
  if (g >= G) {
    int l = g - G;
    for (int e = threadIdx.x; e < loads.experts; e += 256) {
      float sum = 0;
      for (int i = 0; i < G; i++) sum += loads.of(l, i, e);
      counts[static_cast<long long>(l) * countsStride + e] = sum;
    }
    return;
  }
  double sum = 0;
  for (int e = threadIdx.x; e < loads.experts; e += 256) sum += loads.sum(g, e) * loads.sum(G + g, e);
  sum = blockSum<8>(sum, slots);
  double by = share(loads, g, slots);
  if (threadIdx.x == 0) loss[g] = by > 0 ? static_cast<float>(sum / by) : 0.0f;
}

extern "C" __global__ void __launch_bounds__(256) balance_loss_backward(const __grid_constant__ Loads loads, const float* dLoss, float* dLoad, int stride) {
  __shared__ double slots[8];
  int G = loads.batches, g = blockIdx.x;
  double by = share(loads, g, slots), d = by > 0 ? dLoss[g] / by : 0;
  for (int e = threadIdx.x; e < loads.experts; e += 256) {
    dLoad[static_cast<long long>(g) * stride + e] = 0;
    dLoad[static_cast<long long>(G + g) * stride + e] = static_cast<float>(d * loads.sum(g, e));
  }
}
