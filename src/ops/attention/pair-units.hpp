// Which arithmetic multiplies bf16: pairs by dot products where the processor has them (weights rounded to bf16, sums and statistics in f32), by tiles
// where it has those, else converted to f32.
#pragma once
#include <type_traits>
#include "tiles.hpp"
#include "units.hpp"

namespace saqr::attention {

// processors with tiles take the dot product at half the rate of f32 (native/variants.mjs)
using PairUnits = std::conditional_t<kBf16Dot && !SAQR_TILES, Bf16Units, F32Units>;

}  // namespace saqr::attention
