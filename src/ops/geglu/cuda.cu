#include "../cuda.cuh"

constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;  // √(2/π)

// ½ · (1 + tanh u) = σ(2u), which loses nothing where tanh is near −1
__device__ __forceinline__ float halfOf(float g) { return 1.0f / (1.0f + expf(-g * (2.0f * kRoot + 2.0f * kRoot * kCubic * g * g))); }

template <class T, int V>
__device__ void geglu(int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float g[V], u[V];
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) g[i] = g[i] * halfOf(g[i]) * u[i];
    store<T, V>(h + row * hStride + c, g);
  }
}

// dGate and dUp may lie where dH, gate or up lay: a thread reads all three before it writes
template <class T, int V>
__device__ void gegluBackward(int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up, int upStride, T* dGate,
                               int dGateStride, T* dUp, int dUpStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float d[V], g[V], u[V];
    load<T, V>(dH + row * dHStride + c, d);
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) {
      float half = halfOf(g[i]);
      float du = d[i] * g[i] * half;
      g[i] = d[i] * u[i] * (half + g[i] * half * (1.0f - half) * (2.0f * kRoot + 6.0f * kRoot * kCubic * g[i] * g[i]));
      u[i] = du;
    }
    store<T, V>(dGate + row * dGateStride + c, g);
    store<T, V>(dUp + row * dUpStride + c, u);
  }
}

#define KERNEL(suffix, T, V)                                                                                                        \
  extern "C" __global__ void geglu_##suffix(int, int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) { \
    geglu<T, V>(cols, gate, gateStride, up, upStride, h, hStride);                                                                 \
  }                                                                                                                                 \
  extern "C" __global__ void geglu_backward_##suffix(int, int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up, \
                                                      int upStride, T* dGate, int dGateStride, T* dUp, int dUpStride) {             \
    gegluBackward<T, V>(cols, dH, dHStride, gate, gateStride, up, upStride, dGate, dGateStride, dUp, dUpStride);                   \
  }
FOR_INSTANCES(KERNEL)
