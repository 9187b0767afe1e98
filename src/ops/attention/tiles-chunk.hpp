// What the passes by the processor's tiles share: a chunk, up to 64 keys of one block, of which tiles take whole sixteens and thirty-twos.
// (A `Tile` is of the mask: 8 keys; the processor's are of 16 rows.)
#pragma once
#include "keys.hpp"
#include "tiles-product.hpp"
#include "work.hpp"

#if SAQR_TILES
namespace saqr::attention {

constexpr int64_t kChannelStep = 32;  // channels of a head are padded to what a step of the reduction takes

struct Chunk {
  const Tile* tiles;
  int64_t count;
  int rowFrom, rowTo;    // keys, in whole sixteens
  int stepFrom, stepTo;  // thirty-twos
  uint8_t unseen;        // bit t: mask tile t lies in those thirty-twos and nobody sees it
  Chunk(const Tile* list, int64_t n) : tiles(list), count(n) {
    const int first = place(list[0]), last = place(list[n - 1]);
    rowFrom = first / 2 * 16, rowTo = (last / 2 + 1) * 16;
    stepFrom = first / 4, stepTo = last / 4 + 1;
    unseen = static_cast<uint8_t>((1 << 4 * stepTo) - (1 << 4 * stepFrom));
    for (int64_t t = 0; t < n; t++) unseen &= static_cast<uint8_t>(~(1 << place(list[t])));
  }
  static int place(const Tile& tile) { return tile.index % (kBlock / kTile); }
  template <class Each>
  SAQR_INLINE void eachUnseen(Each each) const {
    for (unsigned left = unseen; left; left &= left - 1) each(__builtin_ctz(left));
  }
};

// Scores of a tile's row as the softmax sees them
struct Scoring {
  bool capped;
  Cap cap;
  explicit Scoring(const Call& call) : capped(call.softCap > 0), cap(call) {}
};

}  // namespace saqr::attention
#endif
