// Attention's passes forward in bf16.
#include "decode.hpp"
#include "dispatch.hpp"
#include "forward.hpp"
#include "pair-units.hpp"
#include "tiles-forward.hpp"

namespace saqr::attention {

void decodeBf16(const Call& call, Worker& worker) { Decode<PairUnits, bf16>(call, worker).run(); }

void forwardBf16(const Call& call, Worker& worker) {
  if (call.q.rows <= kAlone) return decodeBf16(call, worker);
#if SAQR_TILES
  if (TileForward::suits(call)) return TileForward(call, worker).run();
#endif
  Forward<PairUnits, bf16>(call, worker).run();
}

}  // namespace saqr::attention
