// Routers: a token a warp, its experts' scores and choices in shared memory.
#include "../cuda.cuh"
#include "../softmax.cuh"
#include "attrs.cuh"

// The order of values as that of whole numbers, the same for −0 and 0, a NaN above all; never 0, which stands for who can't be chosen.
__device__ __forceinline__ unsigned keyOf(float x) {
  if (x != x) return 0xffffffffu;
  unsigned bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float valueOf(unsigned key) { return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

// a key and its index: the larger one is the one that is chosen
using Choice = unsigned long long;
__device__ __forceinline__ Choice choiceOf(unsigned key, int index) { return static_cast<Choice>(key) << 32 | (0xffffffffu - index); }
__device__ __forceinline__ int indexOf(Choice c) { return static_cast<int>(0xffffffffu - static_cast<unsigned>(c)); }

// the warp's largest of n keys, of equal ones the lowest index; its key becomes 0
__device__ __forceinline__ int takeLargest(unsigned* keys, int n) {
  Choice best = 0;
  for (int i = threadIdx.x % 32; i < n; i += 32) {
    Choice c = choiceOf(keys[i], i);
    best = c > best ? c : best;
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Choice c = __shfl_xor_sync(0xffffffffu, best, offset);
    best = c > best ? c : best;
  }
  int index = indexOf(best);
  __syncwarp();
  if (threadIdx.x % 32 == 0) keys[index] = 0;
  __syncwarp();
  return index;
}

template <class T> __device__ __forceinline__ void scoresOf(const T* logits, int experts, int sigmoid, float* s) {
  if (!sigmoid) return warpSoftmax(logits, experts, s);
  for (int e = threadIdx.x % 32; e < experts; e += 32) s[e] = 1.0f / (1.0f + expf(-toFloat(logits[e])));
}

// of the `size` keys of a group: the sum of the `best` largest values
__device__ __forceinline__ float groupScore(const unsigned* keys, int size, int best) {
  float sum = 0;
  Choice last = ~0ull;
  for (int i = 0; i < best && i < size; i++) {
    Choice largest = 0;
    for (int e = 0; e < size; e++) {
      Choice c = choiceOf(keys[e], e);
      if (c < last && c > largest) largest = c;
    }
    sum += valueOf(static_cast<unsigned>(largest >> 32));
    last = largest;
  }
  return sum;
}

// keys of experts whose group isn't kept become 0
__device__ __forceinline__ void leaveGroupsOut(unsigned* keys, unsigned* groupKeys, int experts, const route_attrs& a) {
  int lane = threadIdx.x % 32, size = experts / a.groups;
  for (int g = lane; g < a.groups; g += 32) groupKeys[g] = keyOf(groupScore(keys + g * size, size, a.groupBest));
  __syncwarp();
  for (int i = 0; i < a.keptGroups; i++) takeLargest(groupKeys, a.groups);
  for (int e = lane; e < experts; e += 32) {
    if (groupKeys[e / size]) keys[e] = 0;  // taken are those that are kept
  }
  __syncwarp();
}

template <class T>
__device__ void route(int tokens, int experts, const T* logits, int logitsStride, const float* bias, float* weights, int weightsStride,
                      int* chosen, int chosenStride, const route_attrs& a) {
  extern __shared__ float shared[];
  int warps = blockDim.x / 32, lane = threadIdx.x % 32;
  float* s = shared + 3 * experts * (threadIdx.x / 32);
  unsigned* keys = reinterpret_cast<unsigned*>(s + experts);
  long long t = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (t >= tokens) return;
  const T* x = logits + t * logitsStride;
  weights += t * weightsStride, chosen += t * chosenStride;
  scoresOf(x, experts, a.sigmoid, s);
  __syncwarp();
  bool byLogit = !a.sigmoid && !bias && a.groups == 1;
  for (int e = lane; e < experts; e += 32) keys[e] = keyOf(byLogit ? toFloat(x[e]) : s[e] + (bias ? bias[e] : 0.0f));
  __syncwarp();
  if (a.groups > 1) leaveGroupsOut(keys, keys + experts, experts, a);
  float sum = a.epsilon;
  for (int j = 0; j < a.k; j++) {
    int e = takeLargest(keys, experts);
    sum += s[e];
    if (lane == 0) chosen[j] = e;
  }
  __syncwarp();
  for (int j = lane; j < a.k; j += 32) weights[j] = a.scale * (a.renormalise ? s[chosen[j]] / sum : s[chosen[j]]);
}

template <class T>
__device__ void routeBackward(int tokens, int experts, const float* dWeights, int dWeightsStride, const T* logits, int logitsStride,
                              const int* chosen, int chosenStride, T* dLogits, int dLogitsStride, const route_backward_attrs& a) {
  extern __shared__ float shared[];
  int warps = blockDim.x / 32, lane = threadIdx.x % 32;
  float *s = shared + 2 * experts * (threadIdx.x / 32), *ds = s + experts;
  long long t = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (t >= tokens) return;
  const float* g = dWeights + t * dWeightsStride;
  chosen += t * chosenStride, dLogits += t * dLogitsStride;
  scoresOf(logits + t * logitsStride, experts, a.sigmoid, s);
  for (int e = lane; e < experts; e += 32) ds[e] = 0;
  __syncwarp();
  float total = 1, common = 0;
  if (a.renormalise) {
    total = 0;
    for (int j = lane; j < a.k; j += 32) total += s[chosen[j]], common += g[j] * s[chosen[j]];
    total = warpSum(total) + a.epsilon;
    common = warpSum(common) / total;
  }
  float mean = 0;
  for (int j = lane; j < a.k; j += 32) {
    float d = a.scale * (g[j] - common) / total;
    ds[chosen[j]] = d;
    mean += d * s[chosen[j]];
  }
  mean = warpSum(mean);
  __syncwarp();
  for (int e = lane; e < experts; e += 32) dLogits[e] = fromFloat<T>(a.sigmoid ? ds[e] * s[e] * (1 - s[e]) : s[e] * (ds[e] - mean));
}

#define KERNEL(suffix, T)                                                                                                                \
  extern "C" __global__ void route_##suffix(int tokens, int experts, const T* logits, int logitsStride, const float* bias, float* weights, \
                                            int weightsStride, int* chosen, int chosenStride, route_attrs attrs) {                       \
    route<T>(tokens, experts, logits, logitsStride, bias, weights, weightsStride, chosen, chosenStride, attrs);                          \
  }                                                                                                                                      \
  extern "C" __global__ void route_backward_##suffix(int tokens, int experts, const float* dWeights, int dWeightsStride, const T* logits,  \
                                                     int logitsStride, const int* chosen, int chosenStride, T* dLogits,                  \
                                                     int dLogitsStride, route_backward_attrs attrs) {                                    \
    routeBackward<T>(tokens, experts, dWeights, dWeightsStride, logits, logitsStride, chosen, chosenStride, dLogits, dLogitsStride,      \
                     attrs);                                                                                                             \
  }
FOR_TYPES(KERNEL)
