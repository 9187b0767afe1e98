#include "gemm-kernel.hpp"
#include <utility>
#include "gemm-units.hpp"

namespace saqr::gemm {

struct F32 {
  using Element = float;
  static constexpr int kPerUnit = 1;
  static SAQR_INLINE vf step(vf b, const float* a, vf sum) { return fma(b, set1(*a), sum); }
  static SAQR_INLINE vf last(vf b, const float* a, vf sum) { return step(b, a, sum); }
};
#if SAQR_BF16_DOT
struct Bf16Pairs {
  using Element = bf16;
  static constexpr int kPerUnit = 2;
  static SAQR_INLINE vf dot(vf b, int32_t pair, vf sum) { return dotBf16(sum, b, pair); }
  static SAQR_INLINE vf step(vf b, const float* a, vf sum) {
    int32_t pair;
    memcpy(&pair, a, 4);
    return dot(b, pair, sum);
  }
  static SAQR_INLINE vf last(vf b, const float* a, vf sum) {  // one element, not a pair
    bf16 one;
    memcpy(&one, a, 2);
    return dot(b, one, sum);
  }
};
#endif

template <int V>
SAQR_INLINE void put(float* y, const vf (&v)[V], bool) {
#pragma GCC unroll 2
  for (int i = 0; i < V; i++) store(y + i * W, v[i]);
}
template <int V>
SAQR_INLINE void put(bf16* y, const vf (&v)[V], bool streaming) {
#if defined(__AVX512BF16__)
  if constexpr (V == 2) {
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)v[1], (__m512)v[0]);
    return streaming ? _mm512_stream_si512((__m512i*)y, both) : _mm512_storeu_si512(y, both);
  }
#endif
  (void)streaming;
#pragma GCC unroll 2
  for (int i = 0; i < V; i++) storeBf16(y + i * W, v[i]);
}

template <class E, bool kAddend, int R, int V>
SAQR_INLINE void tileEpilogue(const Result& to, const vf (&sum)[R][V]) {
  E* y = static_cast<E*>(to.y);
  const E* addend = static_cast<const E*>(to.addend);
  vf bias[V];
#pragma GCC unroll 2
  for (int v = 0; v < V; v++) bias[v] = load(to.bias + v * W);
#pragma GCC unroll 16
  for (int r = 0; r < R; r++, y += to.stride, addend += kAddend ? to.addendStride : 0) {
    vf out[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
      out[v] = fma(sum[r][v], set1(to.alpha), bias[v]);
      if (kAddend) out[v] += loadF(addend + v * W);
    }
    put(y, out, to.streaming);
  }
}

template <class Math, int R, int V>
static void tile(int64_t units, const float* a, const float* b, float* c, int64_t stride, bool add, const Result* to, Nearer ahead) {
  vf sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) sum[r][v] = vf{};
  }
  // each block of depth is a sum of its own: one chain over all of it rounds as often as it is long
  for (int64_t u = 0; u < units; u++, a += kTallStep, b += V * W, ahead.at += ahead.step) {
    vf column[V];
    if constexpr (W == 16) __builtin_prefetch(ahead.at, 0, 2);
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) column[v] = load(b + v * W);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) sum[r][v] = Math::step(column[v], a + r, sum[r][v]);
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v++) sum[r][v] += load(c + r * stride + v * W);
    }
  }
  if (to) return to->addend ? tileEpilogue<typename Math::Element, true>(*to, sum) : tileEpilogue<typename Math::Element, false>(*to, sum);
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) store(c + r * stride + v * W, sum[r][v]);
  }
}

// One vector: even and odd units have sums of their own, so that a chain's latency doesn't show.
template <class Math, int R, int V>
static void direct(const Rows* parts, int count, const float* b, float* c, int64_t stride) {
  constexpr int kSteps = 2 / V;
  vf sum[R][2] = {};
  for (int p = 0; p < count; p++) {
    const char* a = static_cast<const char*>(parts[p].data);
    const int64_t apart = parts[p].stride * (4 / Math::kPerUnit), units = parts[p].count / Math::kPerUnit;
    auto at = [&](int r, int s) { return reinterpret_cast<const float*>(a + r * apart + 4 * s); };
    int64_t u = 0;
    for (; u + kSteps <= units; u += kSteps, a += 4 * kSteps, b += 2 * W) {
      vf column[2] = {load(b), load(b + W)};
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; v++) sum[r][v] = Math::step(column[v], at(r, V == 1 ? v : 0), sum[r][v]);
      }
    }
    for (; u < units; u++, a += 4, b += V * W) {
      for (int v = 0; v < V; v++) {
        vf column = load(b + v * W);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sum[r][v] = Math::step(column, at(r, 0), sum[r][v]);
      }
    }
    if (parts[p].count % Math::kPerUnit) {
      for (int v = 0; v < V; v++, b += W) {
        vf column = load(b);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sum[r][v] = Math::last(column, at(r, 0), sum[r][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    if (V == 1) sum[r][0] += sum[r][1];
    for (int v = 0; v < V; v++) store(c + r * stride + v * W, sum[r][v]);
  }
}

template <class Math, int R>
static void outer(const float* a, int64_t aStep, const void* b, int64_t bStride, int64_t depth, float* c, int64_t stride, bool add, Fetch& ahead) {
  using E = typename Math::Element;
  static const E zeros[W] = {};
  vf sum[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) sum[r] = vf{};
  const E* row = static_cast<const E*>(b);
  for (int64_t k = 0; k < depth; k += Math::kPerUnit, a += aStep, row += Math::kPerUnit * bStride) {
    const vf column = join(row, k + 1 < depth ? row + bStride : zeros);
    ahead.next(1);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) sum[r] = Math::step(column, a + r, sum[r]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++) store(c + r * stride, add ? sum[r] + load(c + r * stride) : sum[r]);
}

template <class Math, int V, int... R>
static TileKernel tiles(int rows, std::integer_sequence<int, R...>) {
  static constexpr TileKernel table[] = {&tile<Math, R + 1, V>...};
  return table[rows - 1];
}
template <class Math, int V, int... R>
static DirectKernel directs(int rows, std::integer_sequence<int, R...>) {
  static constexpr DirectKernel table[] = {&direct<Math, R + 1, V>...};
  return table[rows - 1];
}

template <class Math, int... R>
static OuterKernel outers(int rows, std::integer_sequence<int, R...>) {
  static constexpr OuterKernel table[] = {&outer<Math, R + 1>...};
  return table[rows - 1];
}

TileKernel tileKernel(Form form, int rows, int vectors) {
  constexpr auto all = std::make_integer_sequence<int, kTall>{};
#if SAQR_BF16_DOT
  if (form == Form::bf16) return vectors == 1 ? tiles<Bf16Pairs, 1>(rows, all) : tiles<Bf16Pairs, 2>(rows, all);
#endif
  (void)form;
  return vectors == 1 ? tiles<F32, 1>(rows, all) : tiles<F32, 2>(rows, all);
}

DirectKernel directKernel(Form form, int rows, int vectors) {
  constexpr auto all = std::make_integer_sequence<int, kDirect>{};
#if SAQR_BF16_DOT
  if (form == Form::bf16) return vectors == 1 ? directs<Bf16Pairs, 1>(rows, all) : directs<Bf16Pairs, 2>(rows, all);
#endif
  (void)form;
  return vectors == 1 ? directs<F32, 1>(rows, all) : directs<F32, 2>(rows, all);
}

OuterKernel outerKernel(Form form, int rows) {
  constexpr auto all = std::make_integer_sequence<int, kOuter>{};
#if SAQR_BF16_DOT
  if (form == Form::bf16) return outers<Bf16Pairs>(rows, all);
#endif
  (void)form;
  return outers<F32>(rows, all);
}

}  // namespace saqr::gemm
