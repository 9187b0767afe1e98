#include "memory.hpp"
#include <algorithm>
#include "system.hpp"
#include "threads.hpp"

namespace saqr {

void touchPages(void* address, uint64_t bytes, int threads) {
  const uint64_t page = pageBytes(), huge = bytes / kHuge, parts = huge < 1 ? 1 : std::min<uint64_t>(huge, std::clamp(threads, 1, kMostParts));
  auto touch = [=](uint64_t part) {
    // whole huge pages each: one thread has a page made
    const uint64_t from = part == 0 ? 0 : huge * part / parts * kHuge, to = part + 1 == parts ? bytes : huge * (part + 1) / parts * kHuge;
    for (uint64_t at = from; at < to; at += page) static_cast<volatile char*>(address)[at] = 0;
  };
  together(static_cast<int>(parts), touch);
}

}  // namespace saqr
