#include "../cuda.cuh"
#include "attrs.cuh"

// table[t] = (cos(p·f_i) …, sin(p·f_i) …) · factor, f of tokens marked long the other one; the angle in f64, because a position times a
// frequency loses digits in f32
extern "C" __global__ void rope_table(int rows, int half, const int* position, const float* invFreq, const int* marks, const float* longInvFreq,
                                      float* table, int stride, rope_table_attrs attrs) {
  long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= static_cast<long long>(rows) * half) return;
  long long t = i / half, k = i % half;
  const float* frequency = marks && marks[t] ? longInvFreq : invFreq;
  double s, c;
  sincos(static_cast<double>(position[t]) * static_cast<double>(frequency[k]), &s, &c);
  table[t * stride + k] = static_cast<float>(c * attrs.attentionFactor);
  table[t * stride + half + k] = static_cast<float>(s * attrs.attentionFactor);
}

// A thread turns V pairs of one head, or carries over V channels that don't turn. y may be x.
template <class T, int V>
__device__ void rope(int heads, const rope_attrs& a, const T* x, int xStride, const float* table, int tableStride, T* y, int yStride) {
  long long t = blockIdx.x;
  int half = a.rotaryDim / 2, rest = a.headDim - a.rotaryDim;
  int perHead = half / V + rest / V;
  const float* angles = table + t * tableStride;
  for (int i = blockIdx.y * blockDim.x + threadIdx.x; i < heads * perHead; i += gridDim.y * blockDim.x) {
    int head = i / perHead, k = i % perHead * V;
    const T* from = x + t * xStride + static_cast<long long>(head) * a.headDim;
    T* to = y + t * yStride + static_cast<long long>(head) * a.headDim;
    if (k >= half) {
      int c = k - half < a.from ? k - half : k - half + a.rotaryDim;
      float v[V];
      load<T, V>(from + c, v);
      store<T, V>(to + c, v);
      continue;
    }
    from += a.from, to += a.from;
    if (a.interleaved) {  // only with V = 1
      float u = toFloat(from[2 * k]), v = toFloat(from[2 * k + 1]), c = angles[k], s = a.sign * angles[half + k];
      to[2 * k] = fromFloat<T>(u * c - v * s);
      to[2 * k + 1] = fromFloat<T>(v * c + u * s);
    } else {
      float first[V], second[V];
      load<T, V>(from + k, first);
      load<T, V>(from + half + k, second);
#pragma unroll
      for (int j = 0; j < V; j++) {
        float c = angles[k + j], s = a.sign * angles[half + k + j], u = first[j];
        first[j] = u * c - second[j] * s;
        second[j] = second[j] * c + u * s;
      }
      store<T, V>(to + k, first);
      store<T, V>(to + half + k, second);
    }
  }
}

#define KERNEL(suffix, T, V)                                                                                                                  \
  extern "C" __global__ void rope_##suffix(int heads, rope_attrs attrs, const T* x, int xStride, const float* table, int tableStride, T* y, \
                                           int yStride) {                                                                                   \
    rope<T, V>(heads, attrs, x, xStride, table, tableStride, y, yStride);                                                                    \
  }
FOR_INSTANCES(KERNEL)
