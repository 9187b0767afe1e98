// Work over a list shared by threads of its own: what runs before any pass has no pool.
#pragma once
#include <algorithm>
#include <cstdint>
#include "threads.hpp"

namespace saqr {

constexpr int64_t kWorth = 1 << 16;  // elements that are worth a thread

// work(part, from, to) over [0, count) in parts, at most `threads` and kMostParts, that begin at multiples of `unit`
template <class F>
void inParts(int64_t count, int64_t unit, int threads, F work) {
  int parts = static_cast<int>(std::clamp<int64_t>(count / kWorth, 1, std::clamp(threads, 1, kMostParts)));
  int64_t units = (count + unit - 1) / unit;
  auto bound = [&](int part) { return std::min(count, units * part / parts * unit); };
  together(parts, [&](int part) { work(part, bound(part), bound(part + 1)); });
}

}  // namespace saqr
