#include "gemm-decode.hpp"
#include <algorithm>

namespace saqr::gemm {

bool decodable(const Tensor& t) {
  return t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16 || (t.dtype == DType::nf4 && t.quant);
}

// --- NF4 ---
// The product and the sum are rounded one after the other, as bitsandbytes does; a multiply-add would round once.
static float absmaxOf(const Quant& q, int64_t block) {
  if (q.absmax) return q.absmax[block];
  float product = q.code2[q.absmax8[block]] * q.absmax2[block / q.blocksize2];
  asm("" : "+m"(product));
  return product + q.offset;
}

struct Codebook {
#if defined(__AVX512F__)
  __m512 all;
  explicit Codebook(const float* c) : all(_mm512_loadu_ps(c)) {}
  SAQR_INLINE vf operator[](vi code) const { return (vf)_mm512_permutexvar_ps((__m512i)code, all); }  // reads the lower four bits
#elif defined(__AVX2__)
  __m256 low, high;
  explicit Codebook(const float* c) : low(_mm256_loadu_ps(c)), high(_mm256_loadu_ps(c + 8)) {}
  SAQR_INLINE vf operator[](vi code) const {
    __m256i i = (__m256i)code;  // permutevar reads three bits, the fourth chooses the half
    return (vf)_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, i), _mm256_permutevar8x32_ps(high, i), _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
  }
#else
  const float* c;
  explicit Codebook(const float* c) : c(c) {}
  SAQR_INLINE vf operator[](vi code) const {
    vf v;
    for (int i = 0; i < W; i++) v[i] = c[code[i] & 15];
    return v;
  }
#endif
};

// W bytes, each in a lane of its own
SAQR_INLINE vi bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
#elif defined(__AVX2__)
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  using Bytes = uint8_t __attribute__((vector_size(W)));
  return __builtin_convertvector(loadAs<Bytes>(p), vi);
#endif
}

// even and odd elements side by side again
SAQR_INLINE void storePairs(bf16* out, vf even, vf odd) {
#if defined(__AVX512BF16__)
  __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(_mm512_load_si512(order), both));
#else
  vu words = roundBf16(even) | roundBf16(odd) << 16;
  memcpy(out, &words, sizeof words);
#endif
}
SAQR_INLINE void storePairs(float* out, vf even, vf odd) {
#if defined(__AVX512F__)
  alignas(64) static constexpr int32_t low[16] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  __m512i first = _mm512_load_si512(low);
  _mm512_storeu_ps(out, _mm512_permutex2var_ps((__m512)even, first, (__m512)odd));
  _mm512_storeu_ps(out + 16, _mm512_permutex2var_ps((__m512)even, _mm512_add_epi32(first, _mm512_set1_epi32(8)), (__m512)odd));
#else
  for (int i = 0; i < W; i++) out[2 * i] = even[i], out[2 * i + 1] = odd[i];
#endif
}
SAQR_INLINE vf roundTo(vf v, bool rounded) { return rounded ? (vf)(roundBf16(v) << 16) : v; }

template <class Out>
static void nf4(const Tensor& t, int64_t row, int64_t from, int64_t count, Out* out, bool rounded) {
  const Quant& q = *t.quant;
  const uint8_t* packed = static_cast<const uint8_t*>(t.data);
  const Codebook codebook(q.codebook);
  auto one = [&](int64_t at, float scale) {
    float v = q.codebook[at % 2 ? packed[at / 2] & 15 : packed[at / 2] >> 4] * scale;
    if constexpr (sizeof(Out) == 2) return toBf16(v);
    else return rounded ? toFloat(toBf16(v)) : v;
  };
  int64_t at = row * t.stride + from, end = at + count;
  for (int64_t block = at / q.blocksize; at < end; block++) {
    float scale = absmaxOf(q, block);
    int64_t stop = std::min(end, (block + 1) * q.blocksize);
    if (at % 2) *out++ = one(at++, scale);
    for (vf s = set1(scale); at + 2 * W <= stop; at += 2 * W, out += 2 * W) {
      vi b = bytes(packed + at / 2);
      storePairs(out, roundTo(codebook[b >> 4] * s, rounded), roundTo(codebook[b] * s, rounded));
    }
    for (; at < stop; at++) *out++ = one(at, scale);
  }
}

// --- plain dtypes ---
template <class In, class Load, class Out>
static void plain(const In* in, int64_t count, Load load, Out* out, bool rounded) {
  int64_t i = 0;
  for (; i + W <= count; i += W) storeF(out + i, roundTo(load(in + i), rounded));
  if (i < count) {
    In rest[W] = {};
    std::copy(in + i, in + count, rest);
    storeFirst(out + i, roundTo(load(rest), rounded), static_cast<int>(count - i));
  }
}

template <class Out>
static void any(const Tensor& t, int64_t row, int64_t from, int64_t count, Out* out, bool rounded) {
  int64_t at = row * t.stride + from;
  switch (t.dtype) {
    case DType::f32: return plain(static_cast<const float*>(t.data) + at, count, [](const float* p) { return load(p); }, out, rounded);
    case DType::bf16: return plain(static_cast<const bf16*>(t.data) + at, count, [](const bf16* p) { return loadBf16(p); }, out, false);
    case DType::f16: return plain(static_cast<const f16*>(t.data) + at, count, [](const f16* p) { return loadF16(p); }, out, rounded);
    default: return nf4(t, row, from, count, out, rounded);
  }
}

void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, float* out, bool rounded) { any(t, row, from, count, out, rounded); }
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, bf16* out, bool) { any(t, row, from, count, out, false); }

}  // namespace saqr::gemm
