// Copies the new tokens' rows into their cache, byte for byte.
#include "elementwise.hpp"

using namespace saqr;

SAQR_KERNEL(cache_write) {
  const Tensor &cache = step.tensors[0], &x = step.tensors[1], &start = step.tensors[2];
  const int64_t first = *static_cast<const int32_t*>(start.data);
  const size_t size = elementBytes(x.dtype);
  if (!size || cache.dtype != x.dtype) return worker.fail("cache_write: the tokens and their cache are of one type, f32 or bf16");
  if (first < 0 || first + x.rows > cache.rows || x.cols != cache.cols) return worker.fail("cache_write: the tokens don't fit into the cache");
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to; t++) {
    memcpy(static_cast<char*>(cache.data) + (first + t) * cache.stride * size, static_cast<const char*>(x.data) + t * x.stride * size, x.cols * size);
  }
}
