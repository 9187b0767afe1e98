// h = gelu(gate) · up (tanh form) and its backward.
#include "gated.hpp"

namespace {

using namespace saqr;

constexpr float kRoot = 0.7978845608f, kCubic = 0.044715f;  // √(2/π)

// ½ · (1 + tanh u) = σ(2u), which loses nothing where tanh is near −1
SAQR_INLINE vf halfOf(vf g) { return sigmoid(g * (2 * kRoot + (2 * kRoot * kCubic) * g * g)); }

struct Gelu {
  static SAQR_INLINE vf of(vf g) { return g * halfOf(g); }
  static SAQR_INLINE Gradients gradients(vf d, vf g, vf u) {
    const vf half = halfOf(g), slope = half + g * half * (1.0f - half) * (2 * kRoot + (6 * kRoot * kCubic) * g * g);
    return {d * u * slope, d * g * half};
  }
};

}  // namespace

SAQR_GATED(geglu, Gelu)
