// Hopper's matrix product of a warpgroup (PTX ISA, wgmma.mma_async): 64 rows × N columns in f32 += A · B in bf16, K = 16. Operands in shared
// memory are panels of 64 columns, 128 bytes a row, swizzled as the copy engine writes them (SWIZZLE_128B).
#pragma once
#include "mma.cuh"

// A panel whose rows are rows of the operand that K runs along, or (`panel` bytes to the next one) whose rows K counts.
__device__ __forceinline__ unsigned long long operand(unsigned at, unsigned panel = 16) {
  constexpr unsigned long long SWIZZLE = 1ull << 62, EIGHT_ROWS = 1024ull >> 4 << 32;
  return SWIZZLE | EIGHT_ROWS | static_cast<unsigned long long>(panel >> 4) << 16 | (at & 0x3ffff) >> 4;
}

__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING> __device__ __forceinline__ void waitProducts() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory"); }
// What is read of accumulators below is read below the wait above.
template <int N> __device__ __forceinline__ void settle(float (&x)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(x[i])::"memory");
}

#define R8(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define R32(d, i) R8(d, i), R8(d, i + 8), R8(d, i + 16), R8(d, i + 24)
#define NAMES_32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES_64 NAMES_32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"

// both operands from shared memory, K along their rows; `add` false: c is overwritten
template <bool ADD> __device__ __forceinline__ void multiplyShared(float (&c)[32], unsigned long long a, unsigned long long b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_32 "}, %32, %33, p, 1, 1, 0, 0;}"
               : R32(c, 0)
               : "l"(a), "l"(b), "n"(ADD ? 1 : 0));
}
template <bool ADD> __device__ __forceinline__ void multiplyShared(float (&c)[64], unsigned long long a, unsigned long long b) {
  asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, %64, %65, p, 1, 1, 0, 0;}"
               : R32(c, 0), R32(c, 32)
               : "l"(a), "l"(b), "n"(ADD ? 1 : 0));
}
// A from registers, K along B's columns: c += a · b
__device__ __forceinline__ void multiplyRegisters(float (&c)[32], const Fragment& a, unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
               : R32(c, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiplyRegisters(float (&c)[64], const Fragment& a, unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
               : R32(c, 0), R32(c, 32)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// s (64 × N) = 64 rows of a · the N rows of b; their panels are aRows and bRows rows high
template <int D, int N> __device__ __forceinline__ void products(float (&s)[N / 2], unsigned a, int aRows, unsigned b, int bRows) {
  unsigned long long from = operand(a), with = operand(b);
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    unsigned long long fa = from + (k / 4 * aRows * 128 + k % 4 * 32) / 16, fb = with + (k / 4 * bRows * 128 + k % 4 * 32) / 16;
    if (k) multiplyShared<true>(s, fa, fb);
    else multiplyShared<false>(s, fa, fb);
  }
}

// 64 × D in f32, as pieces of up to 128 columns
template <int D> struct Rows {
  static constexpr int PIECE = D % 128 ? 64 : 128;
  float piece[D / PIECE][PIECE / 2];
};
// acc += w (64 × K) · the K rows of b
template <int D, int K> __device__ __forceinline__ void accumulate(Rows<D>& acc, const Fragment (&w)[K / 16], unsigned b) {
  constexpr int PANEL = K * 128;
  unsigned long long with = operand(b, PANEL);
#pragma unroll
  for (int k = 0; k < K / 16; k++) {
#pragma unroll
    for (int n = 0; n < D / Rows<D>::PIECE; n++) multiplyRegisters(acc.piece[n], w[k], with + (k * 2048 + n * (Rows<D>::PIECE / 64) * PANEL) / 16);
  }
}
template <int D> __device__ __forceinline__ void settle(Rows<D>& acc) {
#pragma unroll
  for (int n = 0; n < D / Rows<D>::PIECE; n++) settle(acc.piece[n]);
}

// accumulators (64 × 16·N) as the A of N products
template <int N> __device__ __forceinline__ void toWeights(Fragment (&w)[N], const float (&s)[8 * N]) {
#pragma unroll
  for (int k = 0; k < N; k++) {
#pragma unroll
    for (int i = 0; i < 4; i++) w[k][i] = pack(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
  }
}
