// native/pool.cpp, over a system that refuses the memory asked for at the argument's place: prints what was asked of it and given back.
#include <cstdio>
#include <cstdlib>
#include "pool.cpp"

static int refused, asked = 0, given = 0, back = 0, threads = 0;

namespace saqr {
void* allocatePages(uint64_t bytes) noexcept {
  if (++asked == refused) return nullptr;
  given++;
  return std::calloc(1, bytes);
}
void freePages(void* address, uint64_t) noexcept {
  if (address) back++;
  std::free(address);
}
bool startThread(Thread&) noexcept {
  threads++;
  return true;
}
[[gnu::nothrow]] void joinThread(Thread&) {}
void sleepWhileIs(const Number&, uint32_t) noexcept {}
void wakeAll(const Number&) noexcept {}
}  // namespace saqr

int main(int, char** arguments) {
  refused = std::atoi(arguments[1]);
  bool whole;
  {
    saqr::Pool pool(4);
    whole = pool.whole();
  }
  std::printf("{\"whole\": %s, \"asked\": %d, \"kept\": %d, \"threads\": %d}\n", whole ? "true" : "false", asked, given - back, threads);
}
