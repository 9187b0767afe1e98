// Small products by tiles, of operands that a kernel has laid out itself: c (16 · down, 16 · across) = or += a · b.
#pragma once
#include "tiles.hpp"

#if SAQR_TILES
namespace saqr::tiles {

// A matrix's first row and the bytes between rows. a: rows of pairs of bf16 along the reduction; b: rows are units of it; c: f32.
struct Rows {
  const void* data;
  int64_t stride;
};

template <int A, int B>
SAQR_INLINE void multiplyBlock(const char* a, int64_t aStride, const char* b, int64_t bStride, char* c, int64_t cStride, int64_t steps, bool add) {
  char* c1 = c + 16 * cStride;
  if (add) {
    _tile_loadd(0, c, cStride);
    if constexpr (B == 2) _tile_loadd(1, c + 64, cStride);
    if constexpr (A == 2) _tile_loadd(2, c1, cStride);
    if constexpr (A == 2 && B == 2) _tile_loadd(3, c1 + 64, cStride);
  } else {
    _tile_zero(0);
    if constexpr (B == 2) _tile_zero(1);
    if constexpr (A == 2) _tile_zero(2);
    if constexpr (A == 2 && B == 2) _tile_zero(3);
  }
  for (int64_t s = 0; s < steps; s++, a += kRowBytes, b += kUnits * bStride) {
    _tile_loadd(6, b, bStride);
    _tile_loadd(4, a, aStride);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (B == 2) {
      _tile_loadd(7, b + 64, bStride);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (A == 2) {
      _tile_loadd(5, a + 16 * aStride, aStride);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (B == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, cStride);
  if constexpr (B == 2) _tile_stored(1, c + 64, cStride);
  if constexpr (A == 2) _tile_stored(2, c1, cStride);
  if constexpr (A == 2 && B == 2) _tile_stored(3, c1 + 64, cStride);
}

// `steps` of 32 elements of the reduction
inline void multiply(Rows left, Rows right, float* sums, int64_t sumStride, int64_t down, int64_t across, int64_t steps, bool add) {
  asm volatile("" ::: "memory");  // the compiler doesn't know that tiles read memory
  for (int64_t i = 0; i < down; i += 2) {
    const char* a = static_cast<const char*>(left.data) + i * kRows * left.stride;
    for (int64_t j = 0; j < across; j += 2) {
      const char* b = static_cast<const char*>(right.data) + j * kRowBytes;
      char* c = reinterpret_cast<char*>(sums) + i * kRows * sumStride + j * kRowBytes;
      const bool two = i + 1 < down, wide = j + 1 < across;
      if (two && wide) multiplyBlock<2, 2>(a, left.stride, b, right.stride, c, sumStride, steps, add);
      else if (two) multiplyBlock<2, 1>(a, left.stride, b, right.stride, c, sumStride, steps, add);
      else if (wide) multiplyBlock<1, 2>(a, left.stride, b, right.stride, c, sumStride, steps, add);
      else multiplyBlock<1, 1>(a, left.stride, b, right.stride, c, sumStride, steps, add);
    }
  }
  asm volatile("" ::: "memory");
}

}  // namespace saqr::tiles
#endif
