#include "../cuda.cuh"
#include "../gated.cuh"

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

struct Silu {
  static __device__ __forceinline__ float of(float g) { return g * sigmoid(g); }
  static __device__ __forceinline__ Gradients gradients(float d, float g, float u) {
    float s = sigmoid(g), du = d * g * s;
    return {d * u * s * (1.0f + g * (1.0f - s)), du};
  }
};

#define KERNEL(suffix, T, V) GATED(swiglu, Silu, suffix, T, V)
FOR_INSTANCES(KERNEL)
