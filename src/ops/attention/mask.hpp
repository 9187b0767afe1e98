// Who sees whom. Key j is seen by query i when i − visibleFrom[j] lies in [0, visibleUntil[j] − visibleFrom[j]) and, with a window,
// depth[i] − depth[j] < window. The extents of 8 and of 64 keys say at once that queries see none or all of them, so that only what lies
// on an edge is tested pair by pair, and what nobody sees is never computed.
#pragma once
#include <algorithm>
#include <climits>
#include "saqr.hpp"
#include "units.hpp"

namespace saqr::attention {

constexpr int kTile = 8;    // keys of a tile
constexpr int kBlock = 64;  // keys of a block

// Memory of one thread, handed out piece by piece.
struct Scratch {
  char* at;
  char* end;
  explicit Scratch(const Worker& worker) : at(worker.scratch), end(worker.scratch + kScratchBytes) {}
  size_t left() const { return static_cast<size_t>(end - at); }
  // null when it doesn't fit
  template <class T>
  T* take(int64_t count) {
    const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + 63) / 64 * 64;
    if (bytes > left()) return nullptr;
    T* p = reinterpret_cast<T*>(at);
    at += bytes;
    return p;
  }
};

// Where keys lie: one behind the other, or in pages. Blocks of keys begin at multiples of kBlock, of which a page is a multiple.
struct Paging {
  const int32_t* table = nullptr;     // of the first query's text; null: no pages
  int64_t page = 0, tables = 0;       // keys of a page; from one query's table to the next
  const int32_t* position = nullptr;  // of each query in its text
  int64_t positions = 0;
  static int64_t slot(const int32_t* table, int64_t page, int64_t key) { return table ? table[key / page] * page + key % page : key; }
  int64_t slot(int64_t key) const { return slot(table, page, key); }
};

enum class Sees { none, some, all };

struct Extent {
  int32_t fromMin = INT_MAX, fromMax = INT_MIN, untilMin = INT_MAX, untilMax = INT_MIN, depthMin = INT_MAX, depthMax = INT_MIN;
  void add(const Extent& e) {
    fromMin = std::min(fromMin, e.fromMin);
    fromMax = std::max(fromMax, e.fromMax);
    untilMin = std::min(untilMin, e.untilMin);
    untilMax = std::max(untilMax, e.untilMax);
    depthMin = std::min(depthMin, e.depthMin);
    depthMax = std::max(depthMax, e.depthMax);
  }
};

// Tokens [first, last] as queries
struct Queries {
  int32_t first, last, depthMin, depthMax;
};

struct Mask {
  int64_t keys, blocks;
  int32_t window;           // INT_MAX: none
  int32_t *from, *depth;    // (keys, rounded up to whole blocks: those beyond are never seen)
  uint32_t* span;
  Extent *tiles, *blockExtents;

  // False when the scratch is too small. `tensors`: visibleFrom, visibleUntil, depth; null: each key is seen by itself and all after it.
  bool prepare(Scratch& scratch, const Tensor* tensors, int64_t keyCount, int64_t windowAttr) {
    keys = keyCount;
    blocks = (keys + kBlock - 1) / kBlock;
    window = windowAttr > 0 ? static_cast<int32_t>(windowAttr) : INT_MAX;
    from = scratch.take<int32_t>(blocks * kBlock);
    depth = scratch.take<int32_t>(blocks * kBlock);
    span = scratch.take<uint32_t>(blocks * kBlock);
    tiles = scratch.take<Extent>(blocks * kBlock / kTile);
    blockExtents = scratch.take<Extent>(blocks);
    if (!from || !depth || !span || !tiles || !blockExtents) return false;
    auto value = [&](int which, int64_t j) {
      if (!tensors) return which == 1 ? INT_MAX : static_cast<int32_t>(j);
      return static_cast<const int32_t*>(tensors[which].data)[j * tensors[which].stride];
    };
    for (int64_t b = 0; b < blocks; b++) {
      blockExtents[b] = {};
      for (int64_t t = b * (kBlock / kTile); t < (b + 1) * (kBlock / kTile); t++) {
        Extent e;
        for (int64_t j = t * kTile; j < (t + 1) * kTile; j++) {
          const bool real = j < keys;
          from[j] = real ? value(0, j) : INT_MAX;
          const int32_t until = real ? value(1, j) : INT_MIN;
          depth[j] = real ? value(2, j) : 0;
          span[j] = until > from[j] ? static_cast<uint32_t>(until) - static_cast<uint32_t>(from[j]) : 0;
          e.add(span[j] ? Extent{from[j], from[j], until, until, depth[j], depth[j]} : Extent{INT_MAX, INT_MAX, INT_MIN, INT_MIN, depth[j], depth[j]});
        }
        tiles[t] = e;
        blockExtents[b].add(e);
      }
    }
    return true;
  }

  Queries queries(int64_t first, int64_t end) const {
    Queries q{static_cast<int32_t>(first), static_cast<int32_t>(end - 1), INT_MAX, INT_MIN};
    for (int64_t i = first; i < end; i++) {
      q.depthMin = std::min(q.depthMin, depth[i]);
      q.depthMax = std::max(q.depthMax, depth[i]);
    }
    return q;
  }

  Sees sees(const Queries& q, const Extent& k) const {
    if (q.last < k.fromMin || q.first >= k.untilMax) return Sees::none;
    if (window != INT_MAX && q.depthMin - k.depthMax >= window) return Sees::none;
    if (q.first < k.fromMax || q.last >= k.untilMin) return Sees::some;
    return window == INT_MAX || q.depthMax - k.depthMin < window ? Sees::all : Sees::some;
  }

  // One query of each lane; lanes without one see nothing.
  struct Lanes {
    vu index;
    vi depth;
  };
  SAQR_INLINE Lanes lanes(int64_t first, int count) const {
    int32_t depths[W] = {};
    std::copy(depth + first, depth + first + count, depths);
    const Lanes l{(vu)(iota() < count ? iota() + static_cast<int32_t>(first) : set1(INT_MIN)), load(depths)};
    return l;
  }
  SAQR_INLINE vi visible(const Lanes& l, int64_t j) const {
    const vi inSpan = (vi)(l.index - static_cast<uint32_t>(from[j]) < span[j] - vu{});
    return window == INT_MAX ? inSpan : inSpan & (l.depth - depth[j] < window);
  }
};

// A tile that some query of a block sees; `masked`: not every query sees every key of it.
struct Tile {
  int32_t index;
  bool masked;
};

// Tiles that queries see, in order, of key blocks [from, to); returns their count.
inline int64_t listTiles(const Mask& mask, const Queries& q, int64_t from, int64_t to, Tile* out) {
  int64_t count = 0;
  for (int64_t b = from; b < to; b++) {
    const Sees block = mask.sees(q, mask.blockExtents[b]);
    if (block == Sees::none) continue;
    for (int64_t t = b * (kBlock / kTile); t < (b + 1) * (kBlock / kTile); t++) {
      const Sees tile = block == Sees::all ? Sees::all : mask.sees(q, mask.tiles[t]);
      if (tile != Sees::none) out[count++] = {static_cast<int32_t>(t), tile == Sees::some};
    }
  }
  return count;
}

}  // namespace saqr::attention
