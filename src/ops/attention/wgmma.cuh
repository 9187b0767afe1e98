// The two products of attention on Hopper: scores, both operands from shared memory, and what weights in registers sum up.
#pragma once
#include "../cuda.cuh"
#include "../hopper.cuh"

// A from registers, K along B's columns: c += a · b
__device__ __forceinline__ void multiplyRegisters(float (&c)[32], const Fragment& a, unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" N32 "}, {%32,%33,%34,%35}, %36, 1, 1, 1, 1;"
               : R32(0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void multiplyRegisters(float (&c)[64], const Fragment& a, unsigned long long b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" N64 "}, {%64,%65,%66,%67}, %68, 1, 1, 1, 1;"
               : R64(0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// s (64 × N) = 64 rows of a · the N rows of b; their panels are aRows and bRows rows high
template <int D, int N> __device__ __forceinline__ void products(float (&s)[N / 2], unsigned a, int aRows, unsigned b, int bRows) {
  unsigned long long from = operand(a), with = operand(b);
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
    unsigned long long fa = from + k / 4 * aRows * 128 / 16 + k % 4 * kStep<false>, fb = with + k / 4 * bRows * 128 / 16 + k % 4 * kStep<false>;
    if (k) multiply<false, true>(s, fa, fb);
    else multiply<false, false>(s, fa, fb);
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
    for (int n = 0; n < D / Rows<D>::PIECE; n++) multiplyRegisters(acc.piece[n], w[k], with + k * kStep<true> + n * (Rows<D>::PIECE / 64) * PANEL / 16);
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
