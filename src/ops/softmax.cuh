// Softmax of a short row, by one warp into shared memory. Comes after cuda.cuh.
#pragma once

// p[0 … n) of x; read by other lanes after __syncwarp
template <class T> __device__ __forceinline__ void warpSoftmax(const T* x, int n, float* p) {
  int lane = threadIdx.x % 32;
  float most = __int_as_float(0xff800000), sum = 0;
  for (int i = lane; i < n; i += 32) most = fmaxf(most, toFloat(x[i]));
  most = warpMax(most);
  for (int i = lane; i < n; i += 32) sum += p[i] = expf(toFloat(x[i]) - most);
  sum = warpSum(sum);
  for (int i = lane; i < n; i += 32) p[i] /= sum;
}
