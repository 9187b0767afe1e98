// h = silu(gate) · up and its backward.
#include "gated.hpp"

namespace {

using namespace saqr;

struct Silu {
  static SAQR_INLINE vf of(vf g) { return g * sigmoid(g); }
  static SAQR_INLINE Gradients gradients(vf d, vf g, vf u) {
    const vf s = sigmoid(g), ds = d * s, du = ds * g;
    return {u * (ds + du * (1.0f - s)), du};
  }
};

}  // namespace

SAQR_GATED(swiglu, Silu)
