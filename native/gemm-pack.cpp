#include "gemm-pack.hpp"
#include <algorithm>
#include "gemm-units.hpp"

namespace saqr::gemm {

// --- along the rows: a transposition of units ---
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
  constexpr int64_t kChunk = 512, kBytes = sizeof(E);  // W rows of a chunk, decoded, stay in the first cache
  static_assert(kChunk * W * kBytes <= Scratch::kStaging);
  E* decoded = reinterpret_cast<E*>(staging);
  const int64_t units = unitsOf(sizeof(E) == 2 ? Form::bf16 : Form::f32, to - from);
  for (Panel* p = panels; p < panels + count; p++) {
    Fetch ahead;  // the next panel's rows
    if (isOwn<E>(t, rounded) && p + 1 < panels + count) {
      ahead = {static_cast<const E*>(t.data) + p[1].start * t.stride + from, t.stride * kBytes, p[1].size, (to - from) * kBytes};
    }
    for (int64_t group = 0; group < p->size; group += W) {
      float* out = p->out + group;
      for (int64_t k = from; k < to; k += kChunk) {
        const int64_t n = std::min(kChunk, to - k);
        const char* rows[W];
        for (int r = 0; r < W; r++) {
          const int64_t row = std::min(p->start + group + r, p->start + p->size - 1);  // nobody reads what is past the last
          rows[r] = reinterpret_cast<const char*>(elements(t, rounded, row, k, n, decoded + r * kChunk));
        }
        turn(rows, n * kBytes, out, p->step, ahead);
        out += n * kBytes / 4 * p->step;
      }
    }
    p->out += units * p->step;
  }
}

// --- down the rows: they are units already, or pairs of rows are joined ---
template <class E>
static void down(const Tensor& t, bool rounded, Panel* panels, int64_t count, int64_t from, int64_t to, char* staging) {
  constexpr int64_t kBytes = sizeof(E), kPerUnit = 4 / kBytes, kMost = 32;  // rows at once: panel after panel, each written in order
  const bool own = isOwn<E>(t, rounded);
  E* decoded = reinterpret_cast<E*>(staging);
  static const E zeros[kMaxCols] = {};
  const int64_t start = panels->start, width = panels[count - 1].start + panels[count - 1].size - start;
  const int64_t atOnce = own ? kMost : std::min(kMost, Scratch::kStaging / kBytes / width / kPerUnit * kPerUnit);
  for (int64_t k = from; k < to; k += atOnce) {
    const int64_t rows = std::min(atOnce, to - k), units = (rows + kPerUnit - 1) / kPerUnit;
    const E* row[kMost];
    for (int64_t r = 0; r < units * kPerUnit; r++) row[r] = r < rows ? elements(t, rounded, k + r, start, width, decoded + r * width) : zeros;
    Fetch ahead;  // the next rows
    if (own) ahead = {row[0] + atOnce * t.stride, t.stride * kBytes, std::min(atOnce, to - k - rows), width * kBytes};
    for (Panel* p = panels; p < panels + count; p++) {
      const int64_t at = p->start - start;
      float* out = p->out;
      if (p->size == 2 * W && p->step == 2 * W) {
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
            store(out + u * p->step + i, left >= W ? join(even, odd) : joinFirst(even, odd, static_cast<int>(left)));
          }
        }
      }
      p->out += units * p->step;
    }
  }
}

void pack(const Problem& problem, const Side& side, Form form, const Panels& panels, int64_t from, int64_t to, float* out, const Layout& layout,
          char* staging) {
  const int64_t perUnit = form == Form::bf16 ? 2 : 1, count = panels.count();
  Panel list[kMaxPanels];
  for (int64_t p = 0; p < count; p++) {
    list[p] = {out + panels.at(p, layout.depth) + (from - layout.origin) * panels.step(p), panels.start(p), panels.size(p), panels.step(p)};
  }
  int64_t begin = 0;  // of the part, in units
  for (int p = 0; p < problem.parts; p++) {
    const int64_t depth = side.depth(p), own = begin + unitsOf(form, depth), end = begin + (own - begin + layout.quantum - 1) / layout.quantum * layout.quantum;
    const int64_t first = std::max(from, begin), last = std::min(to, own), zeros = std::min(to, end) - std::max(from, own);
    if (first < last) {
      const int64_t k0 = (first - begin) * perUnit, k1 = std::min(depth, (last - begin) * perUnit);
      auto run = [&](auto e) {
        using E = decltype(e);
        (side.transposed ? down<E> : along<E>)(side.part(p), problem.rounded(p), list, count, k0, k1, staging);
      };
      if (form == Form::bf16) run(bf16{});
      else run(float{});
    }
    for (Panel* panel = list; zeros > 0 && panel < list + count; panel++) panel->out = std::fill_n(panel->out, zeros * panel->step, 0.0f);
    begin = end;
  }
}

}  // namespace saqr::gemm
