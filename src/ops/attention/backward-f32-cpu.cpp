// Attention's pass backward in f32.
#include "backward.hpp"
#include "dispatch.hpp"

namespace saqr::attention {

void backwardF32(const Call& call, const BackwardTensors& tensors, Worker& worker) { Backward<F32Units, float>(call, tensors, worker).run(); }

}  // namespace saqr::attention
