// Gated activations, h = activation(gate) · up, and their backward; what a kernel is of is a struct:
//   static float of(float g)                                    activation(g)
//   static Gradients gradients(float d, float g, float u)       of h = of(g) · u, where d is dh
// Comes after cuda.cuh.
#pragma once

struct Gradients {
  float gate, up;
};

template <class A, class T, int V>
__device__ void gated(int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float g[V], u[V];
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) g[i] = A::of(g[i]) * u[i];
    store<T, V>(h + row * hStride + c, g);
  }
}

// dGate and dUp may lie where dH, gate or up lay: a thread reads all three before it writes
template <class A, class T, int V>
__device__ void gatedBackward(int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up, int upStride, T* dGate,
                              int dGateStride, T* dUp, int dUpStride) {
  long long row = blockIdx.x;
  FOR_COLUMNS(c, cols, V) {
    float d[V], g[V], u[V];
    load<T, V>(dH + row * dHStride + c, d);
    load<T, V>(gate + row * gateStride + c, g);
    load<T, V>(up + row * upStride + c, u);
#pragma unroll
    for (int i = 0; i < V; i++) {
      Gradients of = A::gradients(d[i], g[i], u[i]);
      g[i] = of.gate, u[i] = of.up;
    }
    store<T, V>(dGate + row * dGateStride + c, g);
    store<T, V>(dUp + row * dUpStride + c, u);
  }
}

// an instance of the kernels `name` and `name`_backward
#define GATED(name, A, suffix, T, V)                                                                                                           \
  extern "C" __global__ void name##_##suffix(int, int cols, const T* gate, int gateStride, const T* up, int upStride, T* h, int hStride) {     \
    gated<A, T, V>(cols, gate, gateStride, up, upStride, h, hStride);                                                                          \
  }                                                                                                                                            \
  extern "C" __global__ void name##_backward_##suffix(int, int cols, const T* dH, int dHStride, const T* gate, int gateStride, const T* up,    \
                                                      int upStride, T* dGate, int dGateStride, T* dUp, int dUpStride) {                        \
    gatedBackward<A, T, V>(cols, dH, dHStride, gate, gateStride, up, upStride, dGate, dGateStride, dUp, dUpStride);                            \
  }
