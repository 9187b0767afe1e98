// The products of a tile on Hopper: weights, from registers or from shared memory, times rows of x, whose panels in shared memory have a row a
// token. c (64 × N) += w (64 × 16) · xᵀ. Sums begin as zeros: what is read before it is written would keep its registers all the time.
#pragma once
#include "../cuda.cuh"
#include "../mma.cuh"
#include "../hopper.cuh"

#define PRODUCTS(COLUMNS, C, A0, A1, A2, A3, B, W, X, COUNTING)                                                                                   \
  __device__ __forceinline__ void multiplyFragment(float (&c)[C], const Fragment& w, unsigned long long x) {                                      \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, {" A0 "," A1 "," A2 "," A3 "}, " B ", 1, 1, 1, 0;"   \
                 : R##C(0)                                                                                                                        \
                 : "r"(w[0]), "r"(w[1]), "r"(w[2]), "r"(w[3]), "l"(x));                                                                           \
  }                                                                                                                                               \
  /* COUNTS: rows of w's panel are those the sum counts */                                                                                        \
  template <bool COUNTS> __device__ __forceinline__ void multiplyPanel(float (&c)[C], unsigned long long w, unsigned long long x) {               \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, " W ", " X ", 1, 1, 1, " COUNTING ", 0;"             \
                 : R##C(0)                                                                                                                        \
                 : "l"(w), "l"(x), "n"(COUNTS ? 1 : 0));                                                                                          \
  }
PRODUCTS(64, 32, "%32", "%33", "%34", "%35", "%36", "%32", "%33", "%34")
PRODUCTS(128, 64, "%64", "%65", "%66", "%67", "%68", "%64", "%65", "%66")
PRODUCTS(192, 96, "%96", "%97", "%98", "%99", "%100", "%96", "%97", "%98")
PRODUCTS(256, 128, "%128", "%129", "%130", "%131", "%132", "%128", "%129", "%130")
#undef PRODUCTS

// c (64 × N) += aᵀ · b, 16 rows of each: rows of both panels are those the sum counts
#define COUNTED(COLUMNS, C, A, B)                                                                                                                 \
  __device__ __forceinline__ void multiplyRows(float (&c)[C], unsigned long long a, unsigned long long b) {                                       \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" N##C "}, " A ", " B ", 1, 1, 1, 1, 1;" : R##C(0) : "l"(a), "l"(b)); \
  }
COUNTED(64, 32, "%32", "%33")
COUNTED(128, 64, "%64", "%65")
COUNTED(256, 128, "%128", "%129")
#undef COUNTED
