#include "../cuda.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <class T, int V>
__device__ void swiglu(int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float g[V], u[V];
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) g[i] = g[i] * sigmoid(g[i]) * u[i];
    store<T, V>(h + row * hStride + c, g);
  }
}

// dGate and dUp may lie where dH, gate or up lay: a thread reads all three before it writes
template <class T, int V>
__device__ void swigluBackward(int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up, int upStride, T* dGate,
                               int dGateStride, T* dUp, int dUpStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float d[V], g[V], u[V];
    load<T, V>(dH + row * dHStride + c, d);
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) {
      float s = sigmoid(g[i]);
      float du = d[i] * g[i] * s;
      g[i] = d[i] * u[i] * s * (1.0f + g[i] * (1.0f - s));
      u[i] = du;
    }
    store<T, V>(dGate + row * dGateStride + c, g);
    store<T, V>(dUp + row * dUpStride + c, u);
  }
}

#define KERNEL(suffix, T, V)                                                                                                        \
  extern "C" __global__ void swiglu_##suffix(int, int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) { \
    swiglu<T, V>(cols, gate, gateStride, up, upStride, h, hStride);                                                                 \
  }                                                                                                                                 \
  extern "C" __global__ void swiglu_backward_##suffix(int, int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up, \
                                                      int upStride, T* dGate, int dGateStride, T* dUp, int dUpStride) {             \
    swigluBackward<T, V>(cols, dH, dHStride, gate, gateStride, up, upStride, dGate, dGateStride, dUp, dUpStride);                   \
  }
FOR_INSTANCES(KERNEL)
