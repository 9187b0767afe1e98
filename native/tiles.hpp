// The processor's tiles (AMX): eight registers of 16 rows × 64 bytes, and c += a · b of two of them in bf16 with f32 sums. b holds pairs of
// the reduction: units, as everywhere. Only the variant that is built for them has them (SAQR_TILES); `emulated/tiles.hpp` does the same
// arithmetic on any processor, so that what is written for tiles is tested where there are none.
#pragma once
#include "simd.hpp"

#if defined(SAQR_TILES_EMULATED)
#include "emulated/tiles.hpp"
#define SAQR_TILES 1
#elif defined(__AMX_TILE__) && defined(__AMX_BF16__)
#define SAQR_TILES 1
#else
#define SAQR_TILES 0
#endif

namespace saqr::tiles {

constexpr int64_t kRows = 16, kRowBytes = 64, kUnits = 16;  // a unit is two bf16 of the reduction, or one f32 of a sum

#if SAQR_TILES
// palette 1, all eight registers whole
struct alignas(64) Config {
  uint8_t palette, start, reserved[14];
  uint16_t rowBytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(Config) == 64);
inline constexpr Config kWhole{1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// A thread's tiles are its own while one of these lives, and released after: a sleeping thread with tiles keeps its core from resting
// deeply, and every switch of threads would save 8 kB.
class Use {
 public:
  Use() { _tile_loadconfig(&kWhole); }
  ~Use() { _tile_release(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
};
#endif

}  // namespace saqr::tiles
