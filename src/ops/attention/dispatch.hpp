// What attention over a pass and over a cache share: what they are asked, checked, and the passes, by the type of their tensors. Each is compiled
// once, in a source of its own (forward-f32-cpu.cpp …); where that knows no tiles, once for a variant with tiles and the one that it is over.
#pragma once
#include <algorithm>
#include <initializer_list>
#include "text.hpp"
#include "work.hpp"

namespace saqr::attention {

// blocks of queries, or a few, over the keys of all
void forwardF32(const Call& call, Worker& worker);
void forwardBf16(const Call& call, Worker& worker);
// queries that are alone, each over its own keys
void decodeF32(const Call& call, Worker& worker);
void decodeBf16(const Call& call, Worker& worker);
void backwardF32(const Call& call, const BackwardTensors& tensors, Worker& worker);
void backwardBf16(const Call& call, const BackwardTensors& tensors, Worker& worker);

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

template <class Attrs>
Call callOf(const Attrs& a, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o, const Tensor& lse, const Tensor* mask) {
  auto padded = [](int64_t channels) { return std::max<int64_t>(16, (channels + 7) / 8 * 8); };
  return {a.heads, a.kvHeads, a.headDim, a.valueDim, padded(a.headDim), padded(a.valueDim), 0, k.rows, static_cast<float>(a.scale), static_cast<float>(a.softCap), a.window,
          q, k, v, o, lse, mask, {}, {}};
}

}  // namespace saqr::attention
