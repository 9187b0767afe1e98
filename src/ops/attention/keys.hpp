// Keys and values in the orders that products read, block by block, packed when first asked for and kept while there is room.
#pragma once
#include <initializer_list>
#include "mask.hpp"
#include "pack.hpp"

namespace saqr::attention {

// The rows of a tensor at one head
template <class T>
struct Head {
  T* data;
  int64_t stride;
  T* row(int64_t i) const { return data + i * stride; }
};
template <class T>
Head<T> headOf(const Tensor& t, int64_t head, int64_t headDim) {
  return {static_cast<T*>(t.data) + head * headDim, t.stride};
}

// Asks for rows of some heads ahead of their use (into L2: L1 would lose them): the processor doesn't foresee rows so far apart.
template <class T>
void prefetch(const Tensor& t, int64_t head, int64_t heads, int64_t headDim, int64_t from, int64_t to) {
  for (int64_t i = from; i < std::min(t.rows, to); i++) {
    const char* row = reinterpret_cast<const char*>(headOf<const T>(t, head, headDim).row(i));
    for (size_t b = 0; b < heads * headDim * sizeof(T); b += 64) __builtin_prefetch(row + b, 0, 2);
  }
}

// A panel holds kPanel keys side by side: unit c of key r at [c][r].
constexpr int kPanel = W > kTile ? W : kTile;

template <class U, class T>
struct PackedKeys {
  enum Order { panels, rows, plain, turned };  // the last two are those of tiles: rows (64, padded), and columns (padded, 64), of bf16
  static constexpr int kMost = 3;
  struct Section {
    const Tensor* tensor;
    Order order;
    int64_t channels, padded;  // of a head
    int64_t offset = 0;        // within a block
  };
  int64_t keys, slots, blockSize;
  Paging paging;
  int sections;
  Section section[kMost];
  int32_t* memory;
  int64_t* tags;

  bool prepare(Scratch& scratch, int64_t keyCount, std::initializer_list<Section> list, size_t budget, const Paging& where = {}) {
    keys = keyCount;
    paging = where;
    sections = 0;
    blockSize = 0;
    for (Section s : list) {
      s.offset = blockSize;
      blockSize += kBlock * s.padded / U::kPer;
      section[sections++] = s;
    }
    const int64_t blocks = (keys + kBlock - 1) / kBlock;
    slots = std::min<int64_t>(blocks, std::min(budget, scratch.left()) / (blockSize * sizeof(int32_t) + 64));
    if (slots < 1) return false;
    tags = scratch.take<int64_t>(slots);
    memory = scratch.take<int32_t>(slots * blockSize);
    std::fill(tags, tags + slots, -1);
    return memory != nullptr;
  }

  // block `b` at key head `g`; valid until another block is asked for
  const int32_t* block(int64_t g, int64_t b) {
    const int64_t slot = b % slots, tag = g * (int64_t{1} << 32) + b;
    int32_t* to = memory + slot * blockSize;
    if (tags[slot] == tag) return to;
    tags[slot] = tag;
    for (int s = 0; s < sections; s++) pack(to + section[s].offset, section[s], g, b * kBlock);
    return to;
  }

  // units of a tile in a section of panels; the next unit is kPanel further
  const int32_t* panelOf(const int32_t* block, int s, int64_t tile) const {
    const int64_t key = tile % (kBlock / kTile) * kTile;
    return block + section[s].offset + key / kPanel * kPanel * (section[s].padded / U::kPer) + key % kPanel;
  }
  // rows of a tile in a section of rows; the next unit is the section's `padded` further
  const int32_t* rowsOf(const int32_t* block, int s, int64_t tile) const {
    return block + section[s].offset + tile % (kBlock / kTile) * (kTile / U::kPer) * section[s].padded;
  }

 private:
  void pack(int32_t* to, const Section& s, int64_t g, int64_t first) const {
    const Head<const T> head = headOf<const T>(*s.tensor, g, s.channels);
    const int count = static_cast<int>(std::min<int64_t>(kBlock, keys - first));
    first = paging.slot(first);
    if constexpr (sizeof(T) == 2 && U::kPer == 2) {
      if (s.order == plain) return packPlain(reinterpret_cast<T*>(to), s.padded, head.row(first), head.stride, count, kBlock, s.channels);
      if (s.order == turned) return packTurned(to, kBlock / 2, head.row(first), head.stride, count, kBlock, s.channels, s.padded);
    }
    if (s.order == rows) return packRows<U>(to, s.padded, head.row(first), head.stride, count, kBlock / U::kPer, s.channels);
    const int64_t units = s.padded / U::kPer;
    for (int r = 0; r < kBlock; r += W) {
      packTransposed<U>(to + r / kPanel * kPanel * units + r % kPanel, kPanel, head.row(first + r), head.stride, count - r, units, s.channels);
    }
  }
};

}  // namespace saqr::attention
