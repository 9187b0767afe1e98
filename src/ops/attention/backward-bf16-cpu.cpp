// Attention's pass backward in bf16.
#include "backward.hpp"
#include "dispatch.hpp"
#include "pair-units.hpp"
#include "tiles-backward.hpp"

namespace saqr::attention {

void backwardBf16(const Call& call, const BackwardTensors& tensors, Worker& worker) {
#if SAQR_TILES
  if (TileBackward::suits(call)) return TileBackward(call, tensors, worker).run();
#endif
  Backward<PairUnits, bf16>(call, tensors, worker).run();
}

}  // namespace saqr::attention
