// What every CUDA kernel sees: bf16 as storage, vectors of 16 bytes, sums over a warp and a block. Needs no header of the toolkit,
// so NVRTC alone compiles it. Every sum has one fixed order: same shapes, same bits.
#pragma once

struct bf16 {
  unsigned short bits;
};

struct f16 {
  unsigned short bits;
};

__device__ __forceinline__ float toFloat(float x) { return x; }
__device__ __forceinline__ float toFloat(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
__device__ __forceinline__ float toFloat(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }

// rounded to nearest even
template <class T> __device__ __forceinline__ T fromFloat(float x);
template <> __device__ __forceinline__ float fromFloat<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 fromFloat<bf16>(float x) {
#if __CUDA_ARCH__ >= 800
  unsigned short bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return {bits};
#else
  unsigned u = __float_as_uint(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<unsigned short>((u >> 16) | 64)};  // NaN stays NaN
  return {static_cast<unsigned short>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
#endif
}

// Two numbers in bf16, `low` in the lower half:
__device__ __forceinline__ unsigned pack(float low, float high) {
#if __CUDA_ARCH__ >= 800
  unsigned r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
#else
  return fromFloat<bf16>(low).bits | static_cast<unsigned>(fromFloat<bf16>(high).bits) << 16;
#endif
}
__device__ __forceinline__ float lowOf(unsigned two) { return __uint_as_float(two << 16); }
__device__ __forceinline__ float highOf(unsigned two) { return __uint_as_float(two & 0xffff0000u); }

// V neighbours as they lie in (global) memory. 16 bytes are written by one instruction in asm: the compiler took plain stores of them apart into as many as eight.
template <class T, int V> struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Vector {
  T v[V];
  __device__ __forceinline__ void get(float (&x)[V]) const {
#pragma unroll
    for (int i = 0; i < V; i++) x[i] = toFloat(v[i]);
  }
  __device__ __forceinline__ void set(const float (&x)[V]) {
#pragma unroll
    for (int i = 0; i < V; i++) v[i] = fromFloat<T>(x[i]);
  }
  __device__ __forceinline__ void write(T* to) const { *reinterpret_cast<Vector*>(to) = *this; }
};
template <> struct alignas(16) Vector<float, 4> {
  float4 v;
  __device__ __forceinline__ void get(float (&x)[4]) const { x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w; }
  __device__ __forceinline__ void set(const float (&x)[4]) { v = make_float4(x[0], x[1], x[2], x[3]); }
  __device__ __forceinline__ void write(float* to) const {
    asm volatile("st.global.v4.f32 [%0], {%1,%2,%3,%4};" ::"l"(to), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
  }
};
template <> struct alignas(16) Vector<bf16, 8> {
  uint4 v;
  __device__ __forceinline__ void get(float (&x)[8]) const {
    x[0] = lowOf(v.x), x[1] = highOf(v.x), x[2] = lowOf(v.y), x[3] = highOf(v.y);
    x[4] = lowOf(v.z), x[5] = highOf(v.z), x[6] = lowOf(v.w), x[7] = highOf(v.w);
  }
  __device__ __forceinline__ void set(const float (&x)[8]) { v = make_uint4(pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7])); }
  __device__ __forceinline__ void write(bf16* to) const {
    asm volatile("st.global.v4.b32 [%0], {%1,%2,%3,%4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
  }
};
template <class T, int V> __device__ __forceinline__ void load(const T* from, float (&x)[V]) {
  Vector<T, V> packed = *reinterpret_cast<const Vector<T, V>*>(from);
  packed.get(x);
}
template <class T, int V> __device__ __forceinline__ void store(T* to, const float (&x)[V]) {
  Vector<T, V> packed;
  packed.set(x);
  packed.write(to);
}

// Element i of a weight in the type it is stored in: what `storedType` in cuda-launch.ts numbers.
__device__ __forceinline__ float loadStored(const void* p, int type, long long i) {
  return type == 0 ? toFloat(static_cast<const bf16*>(p)[i]) : type == 1 ? static_cast<const float*>(p)[i] : toFloat(static_cast<const f16*>(p)[i]);
}
template <int V> __device__ __forceinline__ void loadStored(const void* p, int type, long long i, float (&x)[V]) {
  if (type == 0) load<bf16, V>(static_cast<const bf16*>(p) + i, x);
  else if (type == 1) load<float, V>(static_cast<const float*>(p) + i, x);
  else load<f16, V>(static_cast<const f16*>(p) + i, x);
}

// what asm takes as an address in shared memory
__device__ __forceinline__ unsigned sharedAddress(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }

// Of the tensor cores, sm_80 and later:
// a lane's share of 16 × 16 numbers in bf16: an A, or two Bs of 16 × 8 side by side
using Fragment = unsigned[4];
// `at`: a row of 8 numbers; lanes 8i to 8i + 7 name the eight rows of which f[i] is
__device__ __forceinline__ void loadMatrices(Fragment& f, unsigned at) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3]) : "r"(at) : "memory");
}

__device__ __forceinline__ float warpSum(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
__device__ __forceinline__ double warpSum(double x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
__device__ __forceinline__ float warpMax(float x) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}

// The sum over WARPS warps, the same in every thread. `slots`: WARPS words of shared memory, free again when the call returns.
template <int WARPS, class F> __device__ __forceinline__ F blockSum(F x, F* slots) {
  x = warpSum(x);
  if (WARPS == 1) return x;
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
  __syncthreads();
  F total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) total += slots[w];
  __syncthreads();
  return total;
}

// Walks the columns of row blockIdx.x, V at a time: the loop of every element-wise kernel.
#define FOR_COLUMNS(c, cols, V) \
  for (long long c = (static_cast<long long>(blockIdx.y) * blockDim.x + threadIdx.x) * V; c < cols; c += static_cast<long long>(gridDim.y) * blockDim.x * V)

// M(suffix, type, width) for each instantiation that `instance` in cuda-launch.ts names
#define FOR_INSTANCES(M) M(f32, float, 1) M(f32x4, float, 4) M(bf16, bf16, 1) M(bf16x8, bf16, 8)
#define FOR_TYPES(M) M(f32, float) M(bf16, bf16)
