// What an attention kernel is asked to do, and how its threads share it: by counted work, in contiguous parts. Where the cuts lie never
// changes a result.
#pragma once
#include "mask.hpp"

namespace saqr::attention {

constexpr float kLowest = -1e30f;  // a score nobody sees: far below every real one, yet its differences are finite
constexpr int kAlone = W / 4;      // queries that are no block

struct Call {
  int64_t heads, kvHeads;
  int64_t headDim, valueDim;      // channels of a head of q and k, and of v and o
  int64_t padded, valuePadded;    // the same as products take them: multiples of 8, those past the head's zero
  int64_t start, keys;            // key that query 0 is; how many there are
  float scale, softCap;
  int64_t window;
  Tensor q, k, v, o, lse;
  const Tensor* mask;  // visibleFrom, visibleUntil, depth; null: keys lie in pages
  Tensor sinks;        // (1, H), or none
  Paging paging;
};

// What a query's softmax holds before it has seen a key: nothing, or its head's sink. Scores are kept before the scale.
struct Begin {
  float top = kLowest, total = 0;
};
inline float sinkAt(const Tensor& sinks, int64_t head) {
  return sinks.dtype == DType::f32 ? static_cast<const float*>(sinks.data)[head] : toFloat(static_cast<const bf16*>(sinks.data)[head]);
}
inline Begin beginOf(const Call& call, int64_t head) {
  if (!call.sinks.data) return {};
  const float top = sinkAt(call.sinks, head) / call.scale;
  return {top > kLowest ? top : kLowest, top <= kLowest ? 0.0f : top - top + 1.0f};  // NaN stays NaN
}

// Scores before the scale, x = q·k, as the softmax sees them with a soft cap: x' with scale · x' = cap · tanh(scale · x / cap).
struct Cap {
  vf in, out;
  explicit Cap(const Call& call) : in(set1(call.scale / call.softCap)), out(set1(call.softCap / call.scale)) {}
  SAQR_INLINE vf operator()(vf x) const { return tanh(x * in) * out; }
  // dx' / dx at x'
  SAQR_INLINE vf slope(vf capped) const {
    const vf t = capped * in;
    return 1.0f - t * t;
  }
};

struct BackwardTensors {
  Tensor dO, dQ, dK, dV;
};

// Heads of one key head that are computed side by side, in passes of about equal size; a lone head takes more queries instead.
struct HeadLanes {
  int group = 1, passes = 1, most = 1, vectors = 1;
  int64_t queries = W;  // of a block
  struct Pass {
    int head, heads;
  };
  HeadLanes() = default;
  explicit HeadLanes(int64_t headsOfGroup) : group(static_cast<int>(headsOfGroup)), passes((group + kMostVectors - 1) / kMostVectors) {
    const int heads = (group + passes - 1) / passes;
    vectors = heads == 1 ? 2 : 1;
    most = heads * vectors;
    queries = vectors * W;
  }
  Pass pass(int i) const {
    const int from = group * i / passes;
    return {from, group * (i + 1) / passes - from};
  }
};

// The same for processors' tiles, where a head takes 32 queries: the products over queries take 32 at a time.
struct TileLanes {
  static constexpr int kMostHeads = 4, kMost = 2 * kMostHeads;
  int group = 1, passes = 1, most = 1, vectors = 1;
  int64_t queries = W;
  TileLanes() = default;
  explicit TileLanes(int64_t headsOfGroup) : group(static_cast<int>(headsOfGroup)), passes((group + kMostHeads - 1) / kMostHeads) {
    const int heads = (group + passes - 1) / passes;
    vectors = heads == 1 ? 4 : 2;
    most = heads * vectors;
    queries = vectors * W;
  }
  HeadLanes::Pass pass(int i) const {
    const int from = group * i / passes;
    return {from, group * (i + 1) / passes - from};
  }
};

// tiles of one block of keys that lie side by side in a list
inline int64_t chunkOf(const Tile* tiles, int64_t count) {
  int64_t n = 1;
  while (n < count && tiles[n].index / (kBlock / kTile) == tiles[0].index / (kBlock / kTile)) n++;
  return n;
}

struct Place {
  int64_t group, block;
};
struct Split {
  Place from, to;  // to: exclusive in its group
  int64_t blocks;  // of a group
};

// The place where `part` of `parts` begins when every group holds the same blocks; prefix (blocks + 1) sums their work.
inline Place placeOf(const double* prefix, int64_t blocks, int64_t groups, int part, int parts) {
  if (part >= parts) return {groups, 0};
  const double each = prefix[blocks], work = each * static_cast<double>(groups) * part / parts;
  const int64_t group = std::min<int64_t>(static_cast<int64_t>(work / each), groups - 1);
  return {group, std::lower_bound(prefix, prefix + blocks, work - static_cast<double>(group) * each) - prefix};
}

// Blocks of `size` queries, weighed by the key blocks they see; `prefix` holds blocks + 1 numbers
inline Split splitQueries(const Mask& mask, double* prefix, const Call& call, int64_t size, const Worker& worker) {
  const int64_t blocks = (call.q.rows + size - 1) / size;
  prefix[0] = 0;
  for (int64_t b = 0; b < blocks; b++) {
    const Queries q = mask.queries(call.start + b * size, call.start + std::min(call.q.rows, (b + 1) * size));
    double work = 0.5;
    for (int64_t k = 0; k < mask.blocks; k++) {
      const Sees s = mask.sees(q, mask.blockExtents[k]);
      work += s == Sees::all ? 1 : s == Sees::some ? 0.6 : 0;
    }
    prefix[b + 1] = prefix[b] + work;
  }
  return {placeOf(prefix, blocks, call.kvHeads, worker.id, worker.count), placeOf(prefix, blocks, call.kvHeads, worker.id + 1, worker.count), blocks};
}

// Blocks of 64 tokens, weighed by the pairs they have as queries (2 of 5 products) and as keys (3); `prefix` holds 2 · blocks + 1 numbers
inline Split splitTokens(const Mask& mask, double* prefix, const Call& call, const Worker& worker) {
  double* asKeys = prefix + mask.blocks + 1;
  std::fill(prefix, asKeys + mask.blocks, 0.0);
  for (int64_t b = 0; b < mask.blocks; b++) {
    const Queries q = mask.queries(b * kBlock, std::min(call.q.rows, (b + 1) * kBlock));
    double work = 0.5;
    for (int64_t k = 0; k < mask.blocks; k++) {
      const Sees s = mask.sees(q, mask.blockExtents[k]);
      const double part = s == Sees::all ? 1 : s == Sees::some ? 0.6 : 0;
      work += 2 * part;
      asKeys[k] += 3 * part;
    }
    prefix[b + 1] = work;
  }
  for (int64_t b = 0; b < mask.blocks; b++) prefix[b + 1] += prefix[b] + asKeys[b];
  return {placeOf(prefix, mask.blocks, call.kvHeads, worker.id, worker.count), placeOf(prefix, mask.blocks, call.kvHeads, worker.id + 1, worker.count), mask.blocks};
}

}  // namespace saqr::attention
