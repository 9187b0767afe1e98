// One vector of f32 as wide as the processor's registers, and what kernels do with it. GCC and Clang vector extensions give the
// arithmetic (+ - * < & …); what they can't say is a function here, with intrinsics where the processor has one.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
// GCC 12 takes the deliberately undefined operands inside its own intrinsics for mistakes (its bug 105593)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define SAQR_INLINE inline __attribute__((always_inline))

namespace saqr {

#if defined(__AVX512F__)
constexpr int W = 16;  // lanes
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define SAQR_BF16_DOT 1
#else
#define SAQR_BF16_DOT 0
#endif
constexpr bool kBf16Dot = SAQR_BF16_DOT;  // the processor multiplies pairs of bf16

using vf = float __attribute__((vector_size(W * 4)));
using vi = int32_t __attribute__((vector_size(W * 4)));
using vu = uint32_t __attribute__((vector_size(W * 4)));
using vh = uint16_t __attribute__((vector_size(W * 2)));
using bf16 = uint16_t;  // the upper half of an f32
using f16 = uint16_t;   // IEEE half, as bits

template <class V, class T>
SAQR_INLINE V loadAs(const T* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
SAQR_INLINE vf load(const float* p) { return loadAs<vf>(p); }
SAQR_INLINE vi load(const int32_t* p) { return loadAs<vi>(p); }
SAQR_INLINE void store(float* p, vf v) { memcpy(p, &v, sizeof v); }
SAQR_INLINE void store(int32_t* p, vi v) { memcpy(p, &v, sizeof v); }
SAQR_INLINE vf set1(float x) { return x - vf{}; }
SAQR_INLINE vi set1(int32_t x) { return x - vi{}; }
SAQR_INLINE vf asFloat(vi v) { return (vf)v; }
SAQR_INLINE vi asInt(vf v) { return (vi)v; }
SAQR_INLINE vf select(vi mask, vf yes, vf no) { return mask ? yes : no; }
SAQR_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }  // contracted (-ffp-contract=fast)
SAQR_INLINE vf max(vf a, vf b) { return a > b ? a : b; }    // b when either is NaN
SAQR_INLINE vf min(vf a, vf b) { return a < b ? a : b; }
SAQR_INLINE vf abs(vf a) { return asFloat(asInt(a) & 0x7fffffff); }

// 0, 1, 2, …
SAQR_INLINE vi iota() {
  vi v{};
  for (int i = 0; i < W; i++) v[i] = i;
  return v;
}
SAQR_INLINE float sum(vf v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#elif defined(__AVX2__)  // the same sums in registers
  __m128 s = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
#else
  float s[W];
  memcpy(s, &v, sizeof v);
  for (int half = W / 2; half; half /= 2) {
    for (int i = 0; i < half; i++) s[i] += s[i + half];
  }
  return s[0];
#endif
}
SAQR_INLINE float maxOf(vf v) {
  float m = v[0];
  for (int i = 1; i < W; i++) m = v[i] > m ? v[i] : m;
  return m;
}
SAQR_INLINE vf sqrt(vf v) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)v);
#elif defined(__aarch64__)
  return (vf)vsqrtq_f32((float32x4_t)v);
#else
  for (int i = 0; i < W; i++) v[i] = std::sqrt(v[i]);
  return v;
#endif
}

// --- bf16 and f16 ---
SAQR_INLINE float toFloat(bf16 h) {
  uint32_t bits = static_cast<uint32_t>(h) << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
// nearest, ties to even; NaN stays NaN
SAQR_INLINE bf16 toBf16(float f) {
  uint32_t bits;
  memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<bf16>((bits >> 16) | 0x40);
  return static_cast<bf16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
SAQR_INLINE float halfToFloat(f16 h) {
  uint32_t sign = (h & 0x8000u) << 16, exponent = (h >> 10) & 31, fraction = h & 1023, bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000 | fraction << 13;
  } else if (exponent) {
    bits = sign | (exponent + 112) << 23 | fraction << 13;
  } else {
    float tiny = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24
    return sign ? -tiny : tiny;
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
SAQR_INLINE vf loadBf16(const bf16* p) {
#if defined(__AVX512F__)
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16);
#elif defined(__AVX2__)
  return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16);
#else
  return (vf)(__builtin_convertvector(loadAs<vh>(p), vu) << 16);
#endif
}
SAQR_INLINE vf loadF16(const f16* p) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
#elif defined(__aarch64__)
  return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
  vf v;
  for (int i = 0; i < W; i++) v[i] = halfToFloat(p[i]);
  return v;
#endif
}
// sum + a[0] · b[0] + a[1] · b[1] of the two bf16 in each lane
SAQR_INLINE vf dotBf16(vf sum, vf a, vf b) {
#if defined(__AVX512BF16__)
  return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return (vf)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b);
#else
  const vi high = set1(static_cast<int32_t>(0xffff0000));
  return fma(asFloat(asInt(a) & high), asFloat(asInt(b) & high), fma(asFloat(asInt(a) << 16), asFloat(asInt(b) << 16), sum));
#endif
}
// the same, with one pair for all lanes
SAQR_INLINE vf dotBf16(vf sum, vf a, int32_t pair) {
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  float lane;  // in a register as it was loaded: the intrinsic is compiled to a copy into all lanes first
  memcpy(&lane, &pair, 4);
  asm("bfdot %0.4s, %1.8h, %2.2h[0]" : "+w"(sum) : "w"(a), "w"(lane));
  return sum;
#else
  return dotBf16(sum, a, asFloat(set1(pair)));
#endif
}
// the bf16 bits in the lower half of each lane
SAQR_INLINE vu roundBf16(vf v) {
  vu bits = (vu)v;
  vu rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  vu nan = (bits >> 16) | 0x40;
  return (vu)(v != v ? (vi)nan : (vi)rounded);
}
SAQR_INLINE vh toBf16(vf v) {
#if defined(__AVX512BF16__)
  return (vh)_mm512_cvtneps_pbh((__m512)v);
#elif defined(__AVX512F__)
  return (vh)_mm512_cvtepi32_epi16((__m512i)roundBf16(v));
#elif defined(__AVX2__)
  __m256i words = (__m256i)roundBf16(v);
  return (vh)_mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  return (vh)vcvt_bf16_f32((float32x4_t)v);
#else
  return __builtin_convertvector(roundBf16(v), vh);
#endif
}
SAQR_INLINE void storeBf16(bf16* p, vf v) {
  vh h = toBf16(v);
  memcpy(p, &h, sizeof h);
}

// --- any element type by overload, and the first n lanes only (0 elsewhere, nothing touched beyond) ---
SAQR_INLINE vf loadF(const float* p) { return load(p); }
SAQR_INLINE vf loadF(const bf16* p) { return loadBf16(p); }
SAQR_INLINE void storeF(float* p, vf v) { store(p, v); }
SAQR_INLINE void storeF(bf16* p, vf v) { storeBf16(p, v); }
template <class T>
SAQR_INLINE vf loadFirst(const T* p, int n) {
  T lanes[W] = {};
  for (int i = 0; i < n; i++) lanes[i] = p[i];
  return loadF(lanes);
}
template <class T>
SAQR_INLINE void storeFirst(T* p, vf v, int n) {
  T lanes[W];
  storeF(lanes, v);
  for (int i = 0; i < n; i++) p[i] = lanes[i];
}

// --- exponentials ---
// 2^t by a polynomial of 2^f on [−½, ½], t = n + f. Far below zero (−1e30: a masked score) it is 0, NaN stays NaN; t below 128 and not −∞.
template <class Polynomial>
SAQR_INLINE vf exp2With(vf t, Polynomial polynomial) {
#if defined(__AVX512F__)
  const vf n = (vf)_mm512_roundscale_ps((__m512)t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return (vf)_mm512_scalef_ps((__m512)polynomial(t - n), (__m512)n);
#else
  t = min(set1(127.0f), max(set1(-127.0f), t));  // in this order NaN stays NaN
  const vf magic = t + 12582912.0f, n = magic - 12582912.0f;  // 1.5 · 2²³: the integer lies in the low bits
  return polynomial(t - n) * asFloat((asInt(magic) + 127) << 23);  // n = −127 gives the exponent of 0
#endif
}
// minimax of degree 4, relative error 3e-6
SAQR_INLINE vf exp2Degree4(vf f) {
  vf p = f * 0.00957010191f + 0.0559178603f;
  p = p * f + 0.240247448f;
  p = p * f + 0.693121815f;
  return p * f + 0.999999261f;
}
// of degree 5, 8e-8
SAQR_INLINE vf exp2Degree5(vf f) {
  vf p = f * 0.0013276472f + 0.00967554133f;
  p = p * f + 0.0555071327f;
  p = p * f + 0.240221197f;
  p = p * f + 0.693146967f;
  return p * f + 1.00000007f;
}
// Taylor of degree 6: 1 at 0
SAQR_INLINE vf exp2Degree6(vf f) {
  vf p = f * 1.5403530e-4f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  return p * f + 1.0f;
}
// 2^x for any x: below −126 (and −∞) 0, NaN stays NaN. Relative error < 2e-7
SAQR_INLINE vf exp2(vf x) { return x < -126.0f ? vf{} : exp2With(min(set1(127.0f), x), exp2Degree6); }
SAQR_INLINE vf exp(vf x) { return exp2(x * 1.44269504088896341f); }  // relative error grows with |x|: 6e-8 · |x|
// 1 / (1 + e^−x); the power of two saturates by itself. With AVX-512 infinite x gives NaN
SAQR_INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + exp2With(x * -1.44269504088896341f, exp2Degree6)); }
// Relative error < 3e-7: near 0 the odd polynomial of Cephes' tanhf, else by the exponential
SAQR_INLINE vf tanh(vf x) {
  const vf z = x * x;
  vf p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const vf near = x + x * z * p, far = 1.0f - 2.0f / (1.0f + exp2With(min(set1(60.0f), abs(x) * 2.88539008177793f), exp2Degree6));
  return select(abs(x) < 0.625f, near, x < 0.0f ? -far : far);
}

// Natural logarithm of a positive normal number (infinity and NaN give NaN). Relative error < 2e-7: x = 2^e · m, log m = 2 · artanh((m − 1) / (m + 1)), m in [√½, √2).
SAQR_INLINE vf log(vf x) {
  vi e = (asInt(x) - 0x3f3504f3) >> 23;
  vf m = asFloat(asInt(x) - (e << 23)), n = __builtin_convertvector(e, vf);
  vf s = (m - 1.0f) / (m + 1.0f), z = s * s;
  vf p = z * 0.2222222222f + 0.2857142857f;
  p = p * z + 0.4f;
  p = p * z + 0.6666666667f;
  p = p * z + 2.0f;
  return n * 0.693359375f + (n * -2.12194440e-4f + p * s) + (x - x);  // log 2 in two parts: the first is exact
}

}  // namespace saqr
