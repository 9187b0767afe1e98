// A warpgroup's part of a large product on Hopper: what it does with a stage of operands, and with its sums. Comes after hopper.cuh.
#pragma once

constexpr int kDepth = 64;      // columns of a stage; one row of them is 128 bytes
constexpr int kBox = 64 * 128;  // bytes of 64 rows

// c += x · wᵀ over a stage, and the products of the stage before are done. What is issued and waited for has no branches: else the
// compiler waits for more.
template <int N, bool TRANS> __device__ __forceinline__ void multiplyStage(float (&c)[N / 2], unsigned long long x, unsigned long long w, int add) {
  beginProducts();
#pragma unroll
  for (int i = 0; i < 4; i++) multiply<TRANS>(c, x + i * kStep<false>, w + i * kStep<TRANS>, i ? 1 : add);
  commitProducts();
  waitProducts<1>();
}
// the same over the last columns of a part, fewer than kDepth; all products are done
template <int N, bool TRANS> __device__ __forceinline__ void multiplyRest(float (&c)[N / 2], unsigned long long x, unsigned long long w, int depth, int add) {
#pragma unroll 1
  for (int i = 0; i * 16 < depth; i++) {
    beginProducts();
    multiply<TRANS>(c, x + i * kStep<false>, w + i * kStep<TRANS>, i ? 1 : add);
    commitProducts();
    waitProducts<0>();
  }
}

// 64 columns of the sums, rounded, into a panel of 64 rows
__device__ __forceinline__ void roundInto(unsigned panel, const float* c) {
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const float* v = c + i * 8;
    storeMatrices(matrixAt(panel, i), pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
  }
}
