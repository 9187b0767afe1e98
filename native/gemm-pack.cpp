#include "gemm-pack.hpp"
#include <algorithm>

namespace saqr::gemm {

// --- along the rows: a transposition of units ---
#if defined(__AVX512F__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  low = (vf)_mm512_permutex2var_ps((__m512)a, first, (__m512)b);
  high = (vf)_mm512_permutex2var_ps((__m512)a, second, (__m512)b);
}
#elif defined(__AVX2__)
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  __m256 l = _mm256_unpacklo_ps((__m256)a, (__m256)b), h = _mm256_unpackhi_ps((__m256)a, (__m256)b);
  low = (vf)_mm256_permute2f128_ps(l, h, 0x20);
  high = (vf)_mm256_permute2f128_ps(l, h, 0x31);
}
#else
SAQR_INLINE void interleave(vf a, vf b, vf& low, vf& high) {
  low = vf{a[0], b[0], a[1], b[1]};
  high = vf{a[2], b[2], a[3], b[3]};
}
#endif

// W rows become W columns: interleaving the first half with the second, log2(W) times.
SAQR_INLINE void transpose(vf (&v)[W]) {
#pragma GCC unroll 4
  for (int stage = 1; stage < W; stage *= 2) {
    vf next[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; i++) interleave(v[i], v[i + W / 2], next[2 * i], next[2 * i + 1]);
#pragma GCC unroll 16
    for (int i = 0; i < W; i++) v[i] = next[i];
  }
}

// `bytes` of each row as units, out[unit * step + row]; the last unit is filled up with zeros. What stands `ahead` is fetched for later.
static void turn(const char* const (&row)[W], int64_t bytes, float* out, int64_t step, int64_t ahead) {
  int64_t done = 0;
  auto block = [&](auto at, int64_t units) {
    vf v[W];
#pragma GCC unroll 16
    for (int r = 0; r < W; r++) v[r] = loadAs<vf>(at(r));
#pragma GCC unroll 16
    for (int r = 0; r < W; r++) __builtin_prefetch(row[r] + done + ahead, 0, 2);
    transpose(v);
    if (units == W) {
#pragma GCC unroll 16
      for (int u = 0; u < W; u++) store(out + u * step, v[u]);
    } else {
      for (int u = 0; u < units; u++) store(out + u * step, v[u]);
    }
    out += units * step;
  };
  for (; done + 4 * W <= bytes; done += 4 * W) block([&](int r) { return row[r] + done; }, W);
  if (done < bytes) {
    alignas(64) char rest[W][4 * W] = {};
    for (int r = 0; r < W; r++) memcpy(rest[r], row[r] + done, bytes - done);
    block([&](int r) { return rest[r]; }, (bytes - done + 3) / 4);
  }
}

// where elements [from, from + count) of a row stand as E: in the tensor itself or, decoded, at `staging`
template <class E>
static const E* elements(const Tensor& t, bool rounded, int64_t row, int64_t from, int64_t count, E* staging) {
  if (isOwn<E>(t, rounded)) return static_cast<const E*>(t.data) + row * t.stride + from;
  decode(t, row, from, count, staging, rounded);
  return staging;
}

// Panels as the loops want them
struct Panel {
  float* out;  // of the first unit
  int64_t start, size, step;
};
constexpr int64_t kMaxPanels = kMaxCols / kWide + Scratch::kRowBlock / kTall;

template <class E>
static void along(const Tensor& t, bool rounded, const Panel* panels, int64_t count, int64_t from, int64_t to, char* staging) {
  constexpr int64_t kChunk = 512;  // W rows of them, decoded, stay in the first cache
  static_assert(kChunk * W * sizeof(E) <= Scratch::kStaging);
  for (const Panel* p = panels; p < panels + count; p++) {
    for (int64_t group = 0; group < p->size; group += W) {
      float* out = p->out + group;
      for (int64_t k = from; k < to; k += kChunk) {
        const int64_t n = std::min(kChunk, to - k);
        const char* rows[W];
        for (int r = 0; r < W; r++) {
          if (group + r < p->size) rows[r] = (const char*)elements(t, rounded, p->start + group + r, k, n, reinterpret_cast<E*>(staging) + r * kChunk);
          else rows[r] = rows[0];  // nobody reads those columns
        }
        turn(rows, n * sizeof(E), out, p->step, p->size * t.stride * static_cast<int64_t>(sizeof(E)));
        out += n * static_cast<int64_t>(sizeof(E)) / 4 * p->step;
      }
    }
  }
}

// --- down the rows: they are units already, or pairs of rows are interleaved ---
// the first n of W units; beyond n, anything
SAQR_INLINE vf unitsOf(const float* row, const float*, int64_t n) { return n >= W ? load(row) : loadFirst(row, static_cast<int>(n)); }
SAQR_INLINE vf unitsOf(const bf16* even, const bf16* odd, int64_t n) {
#if defined(__AVX512F__)
  alignas(64) static constexpr uint16_t order[32] = {0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  __m256i low, high;
  if (n >= W) {
    low = _mm256_loadu_si256((const __m256i*)even);
    high = _mm256_loadu_si256((const __m256i*)odd);
  } else {
    low = _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), even);
    high = _mm256_maskz_loadu_epi16(static_cast<__mmask16>((1u << n) - 1), odd);
  }
  return (vf)_mm512_permutex2var_epi16(_mm512_castsi256_si512(low), _mm512_load_si512(order), _mm512_castsi256_si512(high));
#else
  vi low = asInt(n >= W ? loadBf16(even) : loadFirst(even, static_cast<int>(n))), high = asInt(n >= W ? loadBf16(odd) : loadFirst(odd, static_cast<int>(n)));
  return asFloat((vi)((vu)low >> 16) | high);
#endif
}

template <class E>
static void down(const Tensor& t, bool rounded, const Panel* panels, int64_t count, int64_t from, int64_t to, char* staging) {
  constexpr int kPerUnit = 4 / sizeof(E);
  static const E zeros[kMaxCols] = {};
  const int64_t start = panels->start, width = panels[count - 1].start + panels[count - 1].size - start;
  constexpr int kAhead = 24;  // rows
  E* decoded = reinterpret_cast<E*>(staging);
  for (int64_t k = from, unit = 0; k < to; k += kPerUnit, unit++) {
    const E* row = elements(t, rounded, k, start, width, decoded);
    const E* next = kPerUnit == 1 ? row : k + 1 < to ? elements(t, rounded, k + 1, start, width, decoded + width) : zeros;
    for (int64_t i = 0; i < width; i += 64 / static_cast<int>(sizeof(E))) {
      for (int r = 0; r < kPerUnit; r++) __builtin_prefetch(row + i + (kAhead + r) * t.stride, 0, 2);
    }
    for (const Panel* p = panels; p < panels + count; p++) {
      const int64_t skip = p->start - start;
      float* out = p->out + unit * p->step;
      for (int64_t i = 0; i < p->size; i += W) store(out + i, unitsOf(row + skip + i, next + skip + i, width - skip - i));
    }
  }
}

void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, char* staging) {
  const int64_t perUnit = form == Form::bf16 ? 2 : 1, count = panels.count();
  Panel list[kMaxPanels];
  for (int64_t p = 0; p < count; p++) list[p] = {out + panels.at(p, to - from), panels.start(p), panels.size(p), panels.step(p)};
  int64_t begin = 0;  // of the part, in units
  for (int p = 0; p < problem.parts; p++) {
    const int64_t depth = side.depth(p), end = begin + unitsOf(form, depth), first = std::max(from, begin), last = std::min(to, end);
    if (first < last) {
      const int64_t k0 = (first - begin) * perUnit, k1 = std::min(depth, (last - begin) * perUnit);
      auto run = [&](auto e) {
        using E = decltype(e);
        (side.down ? down<E> : along<E>)(side.part(p), problem.rounded(p), list, count, k0, k1, staging);
      };
      if (form == Form::bf16) run(bf16{});
      else run(float{});
      for (int64_t i = 0; i < count; i++) list[i].out += (last - first) * list[i].step;
    }
    begin = end;
  }
}

}  // namespace saqr::gemm
