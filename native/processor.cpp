#include "processor.hpp"
#include "system.hpp"
#include "tiles.hpp"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace saqr {

#if defined(__x86_64__)
// devices/cpu asks the system first, and some systems (Windows) don't know all of these
static const char* missing() {
  unsigned a = 0, b = 0, c = 0, d = 0, more = 0, unused = 0;
  constexpr unsigned kFma = 1u << 12, kHalves = 1u << 29, kAvx2 = 1u << 5, kBmi2 = 1u << 8;  // leaf 1, ecx; leaf 7, ebx
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & kFma) == 0 || (c & kHalves) == 0) return "the processor has no AVX2";
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & kAvx2) == 0 || (b & kBmi2) == 0) return "the processor has no AVX2";
  if (a >= 1) __get_cpuid_count(7, 1, &more, &unused, &unused, &unused);
  (void)d, (void)more;
#if defined(__AVX512F__)
  constexpr unsigned kAvx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;  // F, DQ, CD, BW, VL: leaf 7, ebx
  if ((b & kAvx512) != kAvx512) return "the processor has not all of AVX-512";
#endif
#if defined(__AVX512BF16__)
  if ((more & 1u << 5) == 0) return "the processor has no AVX-512 of bf16";  // leaf 7 of 1, eax
#endif
#if SAQR_TILES && !defined(SAQR_TILES_EMULATED)
  if ((d & 1u << 22) == 0 || (d & 1u << 24) == 0) return "the processor has no tiles of bf16";  // AMX-BF16, AMX-TILE: leaf 7, edx
#endif
  return "";
}
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
