#include "processor.hpp"
#include "features.hpp"
#include "system.hpp"
#include "tiles.hpp"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace saqr {

#if SAQR_TILES && !defined(SAQR_TILES_EMULATED)
static constexpr bool kTilesNeeded = true;
#else
static constexpr bool kTilesNeeded = false;
#endif

#if defined(__x86_64__)
#if defined(__AVX512F__)
static constexpr bool kAvx512Needed = true;
#else
static constexpr bool kAvx512Needed = false;
#endif
#if defined(__AVX512BF16__)
static constexpr bool kBf16Needed = true;
#else
static constexpr bool kBf16Needed = false;
#endif

// devices/cpu asks the system first, and some systems (Windows, a sandbox) don't tell all of these
static Features ask() {
  Features f{};
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  f.leaf1c = c;
  if (c & 1u << 27) {  // OSXSAVE: there is an XCR0
    unsigned low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    f.kept = static_cast<uint64_t>(high) << 32 | low;
  }
  if (!__get_cpuid_count(7, 0, &a, &f.leaf7b, &c, &f.leaf7d)) return f;
  if (a >= 1) __get_cpuid_count(7, 1, &f.leaf71a, &b, &c, &d);
  __get_cpuid_count(0x1d, 0, &f.palettes, &b, &c, &d);
  return f;
}
static const char* missing() { return missing(ask(), {kAvx512Needed, kBf16Needed, kTilesNeeded}); }
#else
static const char* missing() { return ""; }  // what the variants take, every system that they are built for tells
#endif

static Text why() {
  Text lacks = missing();
#if SAQR_TILES && !defined(SAQR_TILES_EMULATED)
  if (lacks.empty()) lacks = refusesTiles();
#endif
  return lacks;
}

static const Text text = why();

const char* refusal() {
  return text.empty() ? nullptr : text.chars();
}

}  // namespace saqr
