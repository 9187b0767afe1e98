#include "memory.hpp"
#include <system_error>
#include <thread>
#include <vector>
#include "system.hpp"

namespace saqr {

void touchPages(void* address, uint64_t bytes, int threads) {
  const uint64_t page = pageBytes(), huge = bytes / kHuge, parts = huge < 1 ? 1 : threads < 1 ? 1 : uint64_t(threads) < huge ? threads : huge;
  auto touch = [&](uint64_t part) {
    // whole huge pages each: one thread has a page made
    const uint64_t from = part == 0 ? 0 : huge * part / parts * kHuge, to = part + 1 == parts ? bytes : huge * (part + 1) / parts * kHuge;
    for (uint64_t at = from; at < to; at += page) static_cast<volatile char*>(address)[at] = 0;
  };
  std::vector<std::thread> others;
  uint64_t part = 1;
  try {
    for (; part < parts; part++) others.emplace_back(touch, part);
  } catch (const std::system_error&) {
    for (; part < parts; part++) touch(part);  // the system gives no more threads
  }
  touch(0);
  for (auto& thread : others) thread.join();
}

}  // namespace saqr
