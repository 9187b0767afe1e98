#include "probe.hpp"
#include <algorithm>
#include "system.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace saqr {

static constexpr int kChains = W == 4 ? 20 : 12, kRounds = 200000;  // arm64 has up to four units, four steps deep

template <class Work>
static double best(Pool& pool, Work work) {  // shortest time of many, over half a second: others may use the machine too
  double shortest = 1e30;
  for (const double until = secondsNow() + 0.5; secondsNow() < until;) {
    double start = secondsNow();
    pool.run([](void* context, Worker& worker) { (*static_cast<Work*>(context))(worker); }, &work, nullptr);
    shortest = std::min(shortest, secondsNow() - start);
  }
  return shortest;
}

static void multiplyAdd(Worker& worker) {
  vf chain[kChains];
  for (int i = 0; i < kChains; i++) chain[i] = set1(float(i));
  vf a = set1(0.999f), b = set1(1e-3f);
  asm volatile("" : "+m"(a), "+m"(b));
  for (int r = 0; r < kRounds; r++) {
#pragma GCC unroll 20
    for (int i = 0; i < kChains; i++) chain[i] = fma(chain[i], a, b);
  }
  for (int i = 1; i < kChains; i++) chain[0] += chain[i];
  store(reinterpret_cast<float*>(worker.scratch), chain[0]);
}

#if SAQR_TILES
static constexpr double kTileFlops = 2.0 * 16 * 16 * 32;
static constexpr int kTileRounds = 20000;
static void tileProduct(Worker&) {
  const tiles::Use use;  // all zeros
  for (int r = 0; r < kTileRounds; r++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}
#elif SAQR_BF16_DOT
static void dotProduct(Worker& worker) {
  vf chain[kChains];
  for (int i = 0; i < kChains; i++) chain[i] = set1(float(i));
  vf a = asFloat(set1(0x3c003c00)), b = a;
  asm volatile("" : "+m"(a), "+m"(b));
  for (int r = 0; r < kRounds; r++) {
#pragma GCC unroll 20
    for (int i = 0; i < kChains; i++) chain[i] = dotBf16(chain[i], a, b);
  }
  for (int i = 1; i < kChains; i++) chain[0] += chain[i];
  store(reinterpret_cast<float*>(worker.scratch), chain[0]);
}
#endif

double probeFma(Pool& pool, int kind) {
  double flops = 2.0 * W * kChains * kRounds * pool.count();
  if (kind == 0) return flops / best(pool, multiplyAdd) * 1e-9;
#if SAQR_TILES
  return 4 * kTileFlops * kTileRounds * pool.count() / best(pool, tileProduct) * 1e-9;
#elif SAQR_BF16_DOT
  return 2 * flops / best(pool, dotProduct) * 1e-9;
#else
  return 0;
#endif
}

double probeCopy(Pool& pool) {
  constexpr uint64_t bytes = 64u << 20;
  char* from = static_cast<char*>(allocatePages(bytes));
  char* to = static_cast<char*>(allocatePages(bytes));
  if (!from || !to) return 0;
  auto copy = [=](Worker& worker) {
    Range part = share(worker, bytes, 4096);
    memcpy(to + part.from, from + part.from, part.to - part.from);
  };
  memset(from, 1, bytes);
  double seconds = best(pool, copy);
  freePages(from, bytes);
  freePages(to, bytes);
  return 2.0 * bytes / seconds * 1e-9;
}

double probeRead(Pool& pool) {
  constexpr uint64_t bytes = 128u << 20;
  char* from = static_cast<char*>(allocatePages(bytes));
  if (!from) return 0;
  auto read = [=](Worker& worker) {
    constexpr int kLanes = 8;
    vi all[kLanes] = {};
    const Range part = share(worker, bytes, 4096);
    for (int64_t at = part.from; at < part.to; at += kLanes * sizeof(vi)) {
#pragma GCC unroll 8
      for (int i = 0; i < kLanes; i++) all[i] ^= loadAs<vi>(from + at + i * sizeof(vi));
    }
    for (int i = 0; i < kLanes; i++) asm volatile("" : "+m"(all[i]));
  };
  memset(from, 1, bytes);
  const double seconds = best(pool, read);
  freePages(from, bytes);
  return bytes / seconds * 1e-9;
}

}  // namespace saqr
