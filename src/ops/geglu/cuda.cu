#include "../cuda.cuh"
#include "../gated.cuh"

constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;  // √(2/π)

// ½ · (1 + tanh u) = σ(2u), which loses nothing where tanh is near −1
__device__ __forceinline__ float halfOf(float g) { return 1.0f / (1.0f + expf(-g * (2.0f * kRoot + 2.0f * kRoot * kCubic * g * g))); }

struct Gelu {
  static __device__ __forceinline__ float of(float g) { return g * halfOf(g); }
  static __device__ __forceinline__ Gradients gradients(float d, float g, float u) {
    float half = halfOf(g), du = d * g * half;
    return {d * u * (half + g * half * (1.0f - half) * (2.0f * kRoot + 6.0f * kRoot * kCubic * g * g)), du};
  }
};

#define KERNEL(suffix, T, V) GATED(geglu, Gelu, suffix, T, V)
FOR_INSTANCES(KERNEL)
