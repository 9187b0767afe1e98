#include "gemm-pack.hpp"
#include <algorithm>
#include <utility>

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

// `bytes` of each row as units, out[unit * step + row]; the last unit is filled up with zeros
static void turn(const char* const (&row)[W], int64_t bytes, float* out, int64_t step, Fetch& ahead) {
  int64_t done = 0;
  auto block = [&](auto at, int64_t units) {
    vf v[W];
#pragma GCC unroll 16
    for (int r = 0; r < W; r++) v[r] = loadAs<vf>(at(r));
    ahead.next(W * W / 16);
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
  float* out;  // of the next unit
  int64_t start, size, step;
};
constexpr int64_t kMaxPanels = kMaxCols / kWide + Scratch::kRowBlock / kTall;

template <class E>
static void along(const Tensor& t, bool rounded, Panel* panels, int64_t count, int64_t from, int64_t to, char* staging) {
  constexpr int64_t kChunk = 512;  // W rows of them, decoded, stay in the first cache
  static_assert(kChunk * W * sizeof(E) <= Scratch::kStaging);
  const int64_t units = unitsOf(sizeof(E) == 2 ? Form::bf16 : Form::f32, to - from);
  for (Panel* p = panels; p < panels + count; p++) {
    Fetch ahead;  // the next panel's rows
    if (isOwn<E>(t, rounded) && p + 1 < panels + count) {
      ahead = {static_cast<const E*>(t.data) + p[1].start * t.stride + from, t.stride * static_cast<int64_t>(sizeof(E)), p[1].size, (to - from) * static_cast<int64_t>(sizeof(E))};
    }
    for (int64_t group = 0; group < p->size; group += W) {
      float* out = p->out + group;
      for (int64_t k = from; k < to; k += kChunk) {
        const int64_t n = std::min(kChunk, to - k);
        const char* rows[W];
        for (int r = 0; r < W; r++) {
          if (group + r < p->size) rows[r] = (const char*)elements(t, rounded, p->start + group + r, k, n, reinterpret_cast<E*>(staging) + r * kChunk);
          else rows[r] = rows[0];  // nobody reads those columns
        }
        turn(rows, n * sizeof(E), out, p->step, ahead);
        out += n * static_cast<int64_t>(sizeof(E)) / 4 * p->step;
      }
    }
    p->out += units * p->step;
  }
}

// --- down the rows: they are units already, or pairs of rows are interleaved ---
// W units from where two rows stand; 2 W; the first n of W
SAQR_INLINE void join(const float* row, const float*, float* out) { store(out, load(row)); }
SAQR_INLINE void joinTwo(const float* row, const float*, float* out) { join(row, row, out), join(row + W, row, out + W); }
SAQR_INLINE void joinFirst(const float* row, const float*, float* out, int n) { store(out, loadFirst(row, n)); }
#if defined(__AVX512F__)
alignas(64) static constexpr uint16_t kZip[64] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47,
                                                  16, 48, 17, 49, 18, 50, 19, 51, 20, 52, 21, 53, 22, 54, 23, 55, 24, 56, 25, 57, 26, 58, 27, 59, 28, 60, 29, 61, 30, 62, 31, 63};
SAQR_INLINE void zip(__m256i low, __m256i high, float* out) {
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(_mm512_castsi256_si512(low), _mm512_load_si512(kZip), _mm512_castsi256_si512(high)));
}
SAQR_INLINE void join(const bf16* even, const bf16* odd, float* out) { zip(_mm256_loadu_si256((const __m256i*)even), _mm256_loadu_si256((const __m256i*)odd), out); }
SAQR_INLINE void joinTwo(const bf16* even, const bf16* odd, float* out) {
  const __m512i low = _mm512_loadu_si512(even), high = _mm512_loadu_si512(odd);
  _mm512_storeu_si512(out, _mm512_permutex2var_epi16(low, _mm512_load_si512(kZip), high));
  _mm512_storeu_si512(out + W, _mm512_permutex2var_epi16(low, _mm512_load_si512(kZip + 32), high));
}
SAQR_INLINE void joinFirst(const bf16* even, const bf16* odd, float* out, int n) {
  const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
  zip(_mm256_maskz_loadu_epi16(mask, even), _mm256_maskz_loadu_epi16(mask, odd), out);
}
#else  // without bf16 dot products there are no pairs
SAQR_INLINE void join(const bf16*, const bf16*, float*) {}
SAQR_INLINE void joinTwo(const bf16*, const bf16*, float*) {}
SAQR_INLINE void joinFirst(const bf16*, const bf16*, float*, int) {}
#endif

template <class E>
static void down(const Tensor& t, bool rounded, Panel* panels, int64_t count, int64_t from, int64_t to, char* staging) {
  constexpr int kPerUnit = 4 / sizeof(E), kMost = 32;  // rows at once: panel after panel, each written in order
  static const E zeros[kMaxCols] = {};
  const int64_t start = panels->start, width = panels[count - 1].start + panels[count - 1].size - start;
  const int64_t atOnce = isOwn<E>(t, rounded) ? kMost : std::min<int64_t>(kMost, Scratch::kStaging / static_cast<int64_t>(sizeof(E)) / width / kPerUnit * kPerUnit);
  for (int64_t k = from; k < to; k += atOnce) {
    const int64_t rows = std::min(atOnce, to - k), units = (rows + kPerUnit - 1) / kPerUnit;
    const E* row[kMost];
    for (int64_t r = 0; r < units * kPerUnit; r++) row[r] = r < rows ? elements(t, rounded, k + r, start, width, reinterpret_cast<E*>(staging) + r * width) : zeros;
    Fetch ahead;  // the next rows
    if (isOwn<E>(t, rounded)) ahead = {row[0] + atOnce * t.stride, t.stride * static_cast<int64_t>(sizeof(E)), std::min(atOnce, to - k - rows), width * static_cast<int64_t>(sizeof(E))};
    for (Panel* p = panels; p < panels + count; p++) {
      const int64_t at = p->start - start;
      float* out = p->out;
      if (p->size == 2 * W) {
        for (int64_t u = 0; u < units; u++, out += 2 * W) {
          const E *even = row[u * kPerUnit] + at, *odd = row[u * kPerUnit + kPerUnit - 1] + at;
          ahead.next(W / 8);
          joinTwo(even, odd, out);
        }
      } else {
        for (int64_t i = 0; i < p->size; i += W) {
          const int64_t left = width - at - i;
          for (int64_t u = 0; u < units; u++) {
            const E *even = row[u * kPerUnit] + at + i, *odd = row[u * kPerUnit + kPerUnit - 1] + at + i;
            if (left >= W) join(even, odd, out + u * p->step + i);
            else joinFirst(even, odd, out + u * p->step + i, static_cast<int>(left));
          }
        }
      }
      p->out += units * p->step;
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
    }
    begin = end;
  }
}

}  // namespace saqr::gemm
