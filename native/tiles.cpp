#include "tiles.hpp"
#if SAQR_TILES && !defined(SAQR_TILES_EMULATED)
#include <cerrno>
#include <cpuid.h>
#include <cstring>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace saqr::tiles {

#if !SAQR_TILES
const char* refusal() { return "not built for tiles"; }
#elif defined(SAQR_TILES_EMULATED)
const char* refusal() { return nullptr; }
#else
// Linux gives the 8 kB of state to a process that asks (arch_prctl); containers may forbid the call.
static std::string ask() {
  constexpr int kTileData = 18, kAskPermission = 0x1023;  // XFEATURE_XTILEDATA, ARCH_REQ_XCOMP_PERM
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;  // leaf 7, edx
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kBf16) == 0 || (d & kTile) == 0) return "the processor has no tiles of bf16";
  if (syscall(SYS_arch_prctl, kAskPermission, kTileData) != 0) return std::string("the system refuses tiles: ") + strerror(errno);
  return "";
}
const char* refusal() {
  static const std::string why = ask();
  return why.empty() ? nullptr : why.c_str();
}
#endif

}  // namespace saqr::tiles
