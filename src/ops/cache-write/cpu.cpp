// Copies the new tokens' rows to their places in the cache, byte for byte.
#include "elementwise.hpp"

using namespace saqr;

SAQR_KERNEL(cache_write) {
  const Tensor &cache = step.tensors[0], &x = step.tensors[1], &slots = step.tensors[2];
  const size_t size = elementBytes(x.dtype);
  if (!size || cache.dtype != x.dtype) return worker.fail("cache_write: the tokens and their cache are of one type, f32 or bf16");
  if (slots.rows != x.rows || x.cols != cache.cols) return worker.fail("cache_write: the tokens don't fit into the cache");
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to; t++) {
    const int64_t slot = static_cast<const int32_t*>(slots.data)[t * slots.stride];
    if (slot >= cache.rows) return worker.fail("cache_write: a token's place lies outside the cache");
    if (slot < 0) continue;
    memcpy(static_cast<char*>(cache.data) + slot * cache.stride * size, static_cast<const char*>(x.data) + t * x.stride * size, x.cols * size);
  }
}
