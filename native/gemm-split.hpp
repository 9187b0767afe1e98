// How threads divide a product: down × across of them, and of the columns that the threads below each other multiply each lays out a part.
#pragma once
#include "saqr.hpp"

namespace saqr::gemm {

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Split {
  int64_t down, across;  // down · across of the threads; the others rest
};
// Where cost(split), of the thread with the most to do, is least
template <class Cost>
Split bestSplit(int64_t threads, Cost cost) {
  Split best{threads, 1};
  int64_t least = INT64_MAX;
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
