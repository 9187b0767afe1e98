// Work over a list shared by threads of its own: what runs before any pass has no pool.
#pragma once
#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace saqr {

constexpr int64_t kWorth = 1 << 16;  // elements that are worth a thread

// work(part, from, to) over [0, count) in parts, at most `threads`, that begin at multiples of `unit`
template <class F>
void inParts(int64_t count, int64_t unit, int threads, F work) {
  int parts = static_cast<int>(std::clamp<int64_t>(count / kWorth, 1, std::max(threads, 1)));
  int64_t units = (count + unit - 1) / unit;
  std::vector<std::thread> others;
  auto bound = [&](int part) { return std::min(count, units * part / parts * unit); };
  for (int p = 1; p < parts; p++) others.emplace_back([&, p] { work(p, bound(p), bound(p + 1)); });
  work(0, bound(0), bound(1));
  for (auto& thread : others) thread.join();
}

}  // namespace saqr
