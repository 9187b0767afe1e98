// One block a row: each thread the first of the largest of its columns, then of the threads'.
#include "../cuda.cuh"

constexpr int kThreads = 512, kWarps = kThreads / 32;

struct Best {
  float value;
  int id;    // of equal ones the lowest
  int sound; // no NaN, no ∞
};

__device__ __forceinline__ Best better(Best a, Best b) {
  bool other = b.value > a.value || (b.value == a.value && b.id < a.id);
  return Best{other ? b.value : a.value, other ? b.id : a.id, a.sound & b.sound};
}

template <class T, int V> __device__ void likeliest(int cols, const T* logits, int stride, int* ids, int idsStride) {
  __shared__ Best parts[kWarps];
  const T* x = logits + static_cast<long long>(blockIdx.x) * stride;
  const float lowest = __int_as_float(0xff800000), highest = __int_as_float(0x7f800000);
  Best best{lowest, 0x7fffffff, 1};
  for (int c = threadIdx.x * V; c < cols; c += kThreads * V) {
    float v[V];
    load<T, V>(x + c, v);
#pragma unroll
    for (int i = 0; i < V; i++) {
      best.sound &= v[i] < highest;  // NaN isn't
      if (v[i] > best.value) best.value = v[i], best.id = c + i;
    }
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Best other{__shfl_xor_sync(0xffffffffu, best.value, offset), __shfl_xor_sync(0xffffffffu, best.id, offset),
        __shfl_xor_sync(0xffffffffu, best.sound, offset)};
    best = better(best, other);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int w = 1; w < kWarps; w++) best = better(best, parts[w]);
  ids[static_cast<long long>(blockIdx.x) * idsStride] = best.sound && best.value > lowest ? best.id : -1;
}

#define KERNEL(suffix, T, V)                                                                                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) likeliest_##suffix(int cols, const T* logits, int stride, int* ids, int idsStride) { \
    likeliest<T, V>(cols, logits, stride, ids, idsStride);                                                                                \
  }
FOR_INSTANCES(KERNEL)
