// A warpgroup's 64 rows of a step of w as fragments in registers (PTX ISA, "Register Fragments for wgmma.mma_async.m64nNk16"): of every 16 along
// the sum, a thread has two from threadColumn on and two from 8 more on, in rows threadRow and threadRow + 8. `thread`: of its warpgroup.
#pragma once
#include "hopper-tiles.cuh"

// `trans`: which column of the warpgroup's panel is this thread's row threadRow; the next one is its row threadRow + 8. So one byte of codes has both,
// and one word of bf16. A warp's columns are two of every four of 32.
__device__ __forceinline__ int columnOfRow(int warp, int row8) { return warp / 2 * 32 + row8 * 4 + warp % 2 * 2; }

// The values of a code, of which lane i has the ith and the (i − 16)th; the lowest four bits count.
__device__ __forceinline__ float valueOf(float mine, unsigned code) { return __shfl_sync(0xffffffffu, mine, code, 16); }
// two codes' in bf16, rounded as the cast op does it: `first` in the lower half
__device__ __forceinline__ unsigned decode(float mine, unsigned first, unsigned second, float firstScale, float secondScale) {
  float a = valueOf(mine, first), b = valueOf(mine, second);
  return pack(__fmul_rn(a, firstScale), __fmul_rn(b, secondScale));
}

// Fragments of half a step, 32 along the sum, from codes. Rows of w are rows of codes, 16 bytes of a half: of every word a thread needs the byte of
// its columns, the same one of every word.
__device__ __forceinline__ void decodeRows(Fragment (&f)[2], const unsigned char* codes, const float* scales, float mine, int half, int thread) {
  int row = thread / 32 * 16 + thread % 32 / 4, low = thread % 4 * 8, high = low + 4;
  const unsigned char* from = codes + row * 32 + ((half ^ row >> 2 & 1) << 4);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float scale = scales[row + 8 * h];
    uint4 words = *reinterpret_cast<const uint4*>(from + 8 * h * 32);
    f[0][h] = decode(mine, words.x >> high, words.x >> low, scale, scale);
    f[0][h + 2] = decode(mine, words.y >> high, words.y >> low, scale, scale);
    f[1][h] = decode(mine, words.z >> high, words.z >> low, scale, scale);
    f[1][h + 2] = decode(mine, words.w >> high, words.w >> low, scale, scale);
  }
}

// The sum runs along rows of codes: each has a scale of its own. A matrix of 8 × 8 words of four codes gives a thread those of two rows.
__device__ __forceinline__ void decodeColumns(Fragment (&f)[2], const unsigned char* codes, const float* scales, float mine, int half, int thread) {
  int lane = thread % 32, warp = thread / 32, low = warp % 2 * 8, high = low + 4;
  Fragment words;
  loadMatricesTransposed(words, sharedAddress(codes) + (half * 32 + lane) * 32 + ((warp / 2 ^ lane >> 2 & 1) << 4));
#pragma unroll
  for (int m = 0; m < 4; m++) {
    float2 scale = *reinterpret_cast<const float2*>(scales + half * 32 + m * 8 + thread % 4 * 2);
    unsigned* to = f[m / 2] + m % 2 * 2;
    to[0] = decode(mine, words[m] >> high, words[m] >> (high + 16), scale.x, scale.y);
    to[1] = decode(mine, words[m] >> low, words[m] >> (low + 16), scale.x, scale.y);
  }
}

// 16 along the sum, from `k` on, of w in bf16; rows stand as those of codes do
template <bool TRANS> __device__ __forceinline__ void loadFragment(Fragment& f, const unsigned char* panel, int k, int thread) {
  if (!TRANS) {
    loadMatrices(f, matrixAt(sharedAddress(panel), k / 16));
    return;
  }
  int column = columnOfRow(thread / 32, thread % 32 / 4);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    unsigned pair[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int row = k + half * 8 + thread % 4 * 2 + i;
      pair[i] = *reinterpret_cast<const unsigned*>(panel + row * 128 + ((column / 8 ^ row & 7) << 4) + column % 8 * 2);
    }
    f[2 * half] = __byte_perm(pair[0], pair[1], 0x5410), f[2 * half + 1] = __byte_perm(pair[0], pair[1], 0x7632);
  }
}
