// How a product is divided: its reduction in blocks, and among threads, down × across of them; of the columns that the threads below each
// other multiply each lays out a part.
#pragma once
#include "saqr.hpp"

namespace saqr::gemm {

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The reduction, counted in what is multiplied at once, in blocks of nearly one depth, each a sum of its own
struct Blocks {
  int64_t length, count;
  Range operator[](int64_t i) const { return {length * i / count, length * (i + 1) / count}; }
  Range all(Range blocks) const { return {(*this)[blocks.from].from, (*this)[blocks.to - 1].to}; }
  int64_t depth() const { return ceilDiv(length, count); }
};

constexpr int64_t kImpossible = INT64_MAX;  // what a split costs that can't be taken
struct Split {
  int64_t down, across;  // down · across of the threads; the others rest
  bool possible() const { return across > 0; }
};
// Where cost(split), of the thread with the most to do, is least
template <class Cost>
Split bestSplit(int64_t threads, Cost cost) {
  Split best{0, 0};
  int64_t least = kImpossible;
  for (int64_t across = 1; across <= threads; across++) {
    const Split split{threads / across, across};
    if (const int64_t c = cost(split); c < least) least = c, best = split;
  }
  return best;
}

// A thread's rows and panels of columns (whatever is counted), and its part in laying out the columns
struct Share {
  Range rows{0, 0}, cols{0, 0};
  int64_t part = 0, parts = 1;
};
inline Share shareOf(const Split& split, int64_t high, int64_t wide, int64_t thread) {
  const int64_t i = thread / split.across, j = thread % split.across;
  if (i >= split.down) return {};
  return {{high * i / split.down, high * (i + 1) / split.down}, {wide * j / split.across, wide * (j + 1) / split.across}, i, split.down};
}

}  // namespace saqr::gemm
