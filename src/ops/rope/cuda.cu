#include "../cuda.cuh"

// table[t] = (cos(p·f_i) …, sin(p·f_i) …) · factor; the angle in f64, because a position times a frequency loses digits in f32
extern "C" __global__ void rope_table(int rows, int half, const int* position, const float* invFreq, float* table, int stride, float factor) {
  long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<long long>(rows) * half) return;
  long long t = i / half, k = i % half;
  double s, c;
  sincos(static_cast<double>(position[t]) * static_cast<double>(invFreq[k]), &s, &c);
  table[t * stride + k] = static_cast<float>(c * factor);
  table[t * stride + half + k] = static_cast<float>(s * factor);
}

// A thread turns V pairs of one head, or carries V channels past `rotary` over. y may be x.
template <class T, int V>
__device__ void rope(int heads, int headDim, int rotary, int interleaved, float sign, const T* x, int xStride, const float* table, int tableStride,
                     T* y, int yStride) {
  long long t = blockIdx.x;
  int half = rotary / 2, rest = headDim - rotary;
  int perHead = half / V + rest / V;
  const float* angles = table + t * tableStride;
  for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < heads * perHead; i += gridDim.y * blockDim.x) {
    int head = i / perHead, k = i % perHead * V;
    const T* from = x + t * xStride + static_cast<long long>(head) * headDim;
    T* to = y + t * yStride + static_cast<long long>(head) * headDim;
    if (k >= half) {
      float v[V];
      load<T, V>(from + rotary + k - half, v);
      store<T, V>(to + rotary + k - half, v);
    } else if (interleaved) {  // only with V = 1
      float a = toFloat(from[2 * k]), b = toFloat(from[2 * k + 1]), c = angles[k], s = sign * angles[half + k];
      to[2 * k] = fromFloat<T>(a * c - b * s);
      to[2 * k + 1] = fromFloat<T>(b * c + a * s);
    } else {
      float a[V], b[V];
      load<T, V>(from + k, a);
      load<T, V>(from + half + k, b);
#pragma unroll
      for (int j = 0; j < V; j++) {
        float c = angles[k + j], s = sign * angles[half + k + j], u = a[j];
        a[j] = u * c - b[j] * s;
        b[j] = b[j] * c + u * s;
      }
      store<T, V>(to + k, a);
      store<T, V>(to + half + k, b);
    }
  }
}

#define KERNEL(suffix, T, V)                                                                                                                \
  extern "C" __global__ void rope_##suffix(int heads, int headDim, int rotary, int interleaved, float sign, const T* x, int xStride,        \
                                           const float* table, int tableStride, T* y, int yStride) {                                       \
    rope<T, V>(heads, headDim, rotary, interleaved, sign, x, xStride, table, tableStride, y, yStride);                                      \
  }
FOR_INSTANCES(KERNEL)
