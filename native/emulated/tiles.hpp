// The tile instructions in C++, bit for bit as Intel's manual defines them, for tests on processors without: TDPBF16PS adds the even and
// the odd elements of the reduction in two chains of f32 multiply-adds, then their sum to c; denormals are zeros going in and coming out,
// rounding is to nearest, whatever MXCSR says.
#pragma once
#include <cstdlib>
#include "../simd.hpp"

namespace saqr::emulated {

struct Tile {
  alignas(64) char row[16][64];
};
struct Tiles {
  bool configured = false;
  Tile tile[8];
};
inline thread_local Tiles tiles;

// what the processor answers with a fault
inline Tile& at(int t) {
  if (!tiles.configured) abort();
  return tiles.tile[t];
}

inline void loadConfig(const void* config) {
  const uint8_t* bytes = static_cast<const uint8_t*>(config);
  tiles = {};
  tiles.configured = bytes[0] == 1;
  for (int t = 0; t < 8; t++) {
    uint16_t rowBytes;
    memcpy(&rowBytes, bytes + 16 + 2 * t, 2);
    if (rowBytes != 64 || bytes[48 + t] != 16) abort();  // of whole tiles alone
  }
}
inline void release() { tiles = {}; }
inline void zero(int t) { at(t) = {}; }
inline void loadTile(int t, const void* base, int64_t stride) {
  for (int r = 0; r < 16; r++) memcpy(at(t).row[r], static_cast<const char*>(base) + r * stride, 64);
}
inline void storeTile(int t, void* base, int64_t stride) {
  for (int r = 0; r < 16; r++) memcpy(static_cast<char*>(base) + r * stride, at(t).row[r], 64);
}
inline void dotTile(int c, int a, int b) {
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(0x9fc0);  // nearest, denormals are zero, results flushed, no faults
  asm volatile("" ::: "memory");  // what is read is read, and so multiplied, in this mode
  const Tile &left = at(a), &right = at(b);
  for (int m = 0; m < 16; m++) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int k = 0; k < 16; k++) {
      uint32_t pair;
      memcpy(&pair, left.row[m] + 4 * k, 4);
      const __m512i columns = _mm512_load_si512(right.row[k]);
      even = _mm512_fmadd_ps((__m512)_mm512_set1_epi32(static_cast<int>(pair << 16)), (__m512)_mm512_slli_epi32(columns, 16), even);
      odd = _mm512_fmadd_ps((__m512)_mm512_set1_epi32(static_cast<int>(pair & 0xffff0000u)),
                            (__m512)_mm512_and_si512(columns, _mm512_set1_epi32(static_cast<int>(0xffff0000u))), odd);
    }
    float* sum = reinterpret_cast<float*>(at(c).row[m]);
    __m512 total = _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(even, odd));
    asm volatile("" : "+v"(total));  // before the mode goes back
    _mm512_store_ps(sum, total);
  }
  _mm_setcsr(mode);
}

}  // namespace saqr::emulated

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#define _tile_loadconfig saqr::emulated::loadConfig
#define _tile_release saqr::emulated::release
#define _tile_loadd saqr::emulated::loadTile
#define _tile_stored saqr::emulated::storeTile
#define _tile_zero saqr::emulated::zero
#define _tile_dpbf16ps saqr::emulated::dotTile
