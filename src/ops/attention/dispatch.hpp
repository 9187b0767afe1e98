// What attention over a pass and over a cache share: what they are asked, checked, and which arithmetic does it. bf16 is multiplied in pairs by
// dot products where the processor has them (weights rounded to bf16, sums and statistics in f32), by tiles where it has those, else
// converted to f32.
#pragma once
#include <initializer_list>
#include <type_traits>
#include "decode.hpp"
#include "forward.hpp"
#include "text.hpp"
#include "tiles-forward.hpp"

namespace saqr::attention {

// processors with tiles take the dot product at half the rate of f32 (native/variants.mjs)
using PairUnits = std::conditional_t<kBf16Dot && !SAQR_TILES, Bf16Units, F32Units>;

// "" when the kernel can do it
inline Text problem(const Call& c, DType type, const std::initializer_list<const Tensor*> tensors) {
  for (int64_t size : {c.headDim, c.valueDim}) {
    if (size < 1 || size > kMostChannels) return Text("head size ") + size + ": at most " + int64_t(kMostChannels);
  }
  if (c.heads < 1 || c.kvHeads < 1 || c.heads % c.kvHeads) return Text() + int64_t(c.heads) + " heads don't share " + int64_t(c.kvHeads) + " key heads";
  if (!(c.scale > 0) || c.softCap < 0) return "scale must be positive, a soft cap too";
  if (type != DType::f32 && type != DType::bf16) return "tensors must be f32 or bf16";
  for (const Tensor* t : tensors) {
    if (t->dtype != type) return "all tensors must be of one type";
  }
  if (c.sinks.data && c.sinks.dtype != DType::f32 && c.sinks.dtype != DType::bf16) return "sinks must be f32 or bf16";
  return "";
}

template <class U, class T>
void forward(const Call& call, Worker& worker) {
  if (Decode<U, T>::suits(call)) return Decode<U, T>(call, worker).run();
#if SAQR_TILES
  if (sizeof(T) == 2 && TileForward::suits(call)) return TileForward(call, worker).run();
#endif
  Forward<U, T>(call, worker).run();
}

template <class Attrs>
Call callOf(const Attrs& a, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor* mask) {
  auto padded = [](int64_t channels) { return std::max<int64_t>(16, (channels + 7) / 8 * 8); };
  return {a.heads, a.kvHeads, a.headDim, a.valueDim, padded(a.headDim), padded(a.valueDim), 0, k.rows, static_cast<float>(a.scale), static_cast<float>(a.softCap), a.window,
          q, k, v, o, lse, mask, {}, {}};
}

}  // namespace saqr::attention
