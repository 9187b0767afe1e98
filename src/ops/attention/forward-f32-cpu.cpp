// Attention's passes forward in f32.
#include "decode.hpp"
#include "dispatch.hpp"
#include "forward.hpp"

namespace saqr::attention {

void decodeF32(const Call& call, Worker& worker) { Decode<F32Units, float>(call, worker).run(); }

void forwardF32(const Call& call, Worker& worker) {
  if (call.q.rows <= kAlone) return decodeF32(call, worker);
  Forward<F32Units, float>(call, worker).run();
}

}  // namespace saqr::attention
