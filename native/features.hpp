// What a processor says of itself (CPUID), and what the system keeps of its registers when threads change (XCR0): a hypervisor or a system may
// leave out registers of instructions that the processor names, and the first of them would end the process.
#pragma once
#include <cstdint>

namespace saqr {

struct Features {
  uint32_t leaf1c, leaf7b, leaf7d, leaf71a;  // CPUID: leaf 1, ecx; leaf 7, ebx and edx; leaf 7 of 1, eax
  uint32_t palettes;                         // leaf 1D, eax: the highest of the tiles' palettes
  uint64_t kept;                             // XCR0, 0 where there is none
};
struct Needs {
  bool avx512, bf16, tiles;  // beside AVX2
};

// '' or what is missing
inline const char* missing(const Features& f, const Needs& needs) {
  constexpr uint32_t kFma = 1u << 12, kHalves = 1u << 29, kAvx2 = 1u << 5, kBmi2 = 1u << 8;                  // leaf 1, ecx; leaf 7, ebx
  constexpr uint32_t kAvx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;                         // F, DQ, CD, BW, VL: leaf 7, ebx
  constexpr uint32_t kBf16 = 1u << 5, kTileBf16 = 1u << 22, kTiles = 1u << 24;                               // leaf 7 of 1, eax; leaf 7, edx
  constexpr uint64_t kKeptAvx = 1u << 1 | 1u << 2, kKept512 = kKeptAvx | 7u << 5, kKeptTiles = 3u << 17;  // of XCR0
  auto lacks = [](uint64_t has, uint64_t wanted) { return (has & wanted) != wanted; };
  if (lacks(f.leaf1c, kFma | kHalves) || lacks(f.leaf7b, kAvx2 | kBmi2)) return "the processor has no AVX2";
  if (lacks(f.kept, kKeptAvx)) return "the system keeps no registers of AVX2";
  if (needs.avx512 && lacks(f.leaf7b, kAvx512)) return "the processor has not all of AVX-512";
  if (needs.avx512 && lacks(f.kept, kKept512)) return "the system keeps no registers of AVX-512";
  if (needs.bf16 && lacks(f.leaf71a, kBf16)) return "the processor has no AVX-512 of bf16";
  if (needs.tiles && lacks(f.leaf7d, kTileBf16 | kTiles)) return "the processor has no tiles of bf16";
  if (needs.tiles && lacks(f.kept, kKeptTiles)) return "the system keeps no registers of tiles";
  if (needs.tiles && f.palettes < 1) return "the processor names tiles, but no palette of them";
  return "";
}

}  // namespace saqr
