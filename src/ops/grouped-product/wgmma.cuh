// The products of a tile on Hopper: weights times rows of x, whose panels in shared memory have a row a token. c (64 × N) += w (64 × 16) · xᵀ. Sums
// begin as zeros: what is read before it is written would keep its registers all the time.
#pragma once
#include "../cuda.cuh"
#include "../mma.cuh"
#include "../hopper.cuh"

#define R80(i) R64(i), R8(i + 64), R8(i + 72)
#define N80 N64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define PRODUCTS(COLUMNS, C, W, X, COUNTING)                                                                                                      \
  /* COUNTS: rows of w's panel are those the sum counts */                                                                                        \
  template <bool COUNTS> __device__ __forceinline__ void multiplyPanel(float (&c)[C], unsigned long long w, unsigned long long x) {               \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, " W ", " X ", 1, 1, 1, " COUNTING ", 0;"             \
                 : R##C(0)                                                                                                                        \
                 : "l"(w), "l"(x), "n"(COUNTS ? 1 : 0));                                                                                          \
  }
PRODUCTS(64, 32, "%32", "%33", "%34")
PRODUCTS(128, 64, "%64", "%65", "%66")
PRODUCTS(160, 80, "%80", "%81", "%82")
PRODUCTS(192, 96, "%96", "%97", "%98")
PRODUCTS(256, 128, "%128", "%129", "%130")
#undef PRODUCTS
// The same by two instructions: for more tokens than one takes, or where a thread begins with fewer registers than one names.
template <bool COUNTS, int C> __device__ __forceinline__ void multiplyHalves(float (&c)[C], unsigned long long w, unsigned long long x) {
  constexpr int HALF = C / 2, TOKENS = HALF * 2;
  multiplyPanel<COUNTS>(reinterpret_cast<float(&)[HALF]>(c[0]), w, x);
  multiplyPanel<COUNTS>(reinterpret_cast<float(&)[HALF]>(c[HALF]), w, x + TOKENS * 128 / 16);
}

// c (64 × N) += aᵀ · b, 16 rows of each: rows of both panels are those the sum counts
#define COUNTED(COLUMNS, C, A, B)                                                                                                                 \
  __device__ __forceinline__ void multiplyRows(float (&c)[C], unsigned long long a, unsigned long long b) {                                       \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, " A ", " B ", 1, 1, 1, 1, 1;" : R##C(0) : "l"(a), "l"(b)); \
  }
COUNTED(64, 32, "%32", "%33")
COUNTED(128, 64, "%64", "%65")
COUNTED(256, 128, "%128", "%129")
#undef COUNTED
