#include "gemm-decode.hpp"
#include <algorithm>

namespace saqr::gemm {

bool decodable(const Tensor& t) {
  return t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16 || (t.dtype == DType::nf4 && t.quant);
}

// --- NF4 ---
// Scales of consecutive blocks. The product and the sum are rounded one after the other, as bitsandbytes does; a multiply-add would
// round once.
struct Scales {
  const Quant& q;
  int64_t block, outer, left;  // left: blocks up to the next absmax2
  Scales(const Quant& quant, int64_t first) : q(quant), block(first), outer(0), left(0) {
    if (!q.absmax) outer = first / q.blocksize2, left = q.blocksize2 - first % q.blocksize2;
  }
  float next() {
    if (q.absmax) return q.absmax[block++];
    if (left-- == 0) outer++, left = q.blocksize2 - 1;
    float product = q.code2[q.absmax8[block++]] * q.absmax2[outer];
#if defined(__x86_64__)
    asm("" : "+x"(product));
#else
    asm("" : "+m"(product));
#endif
    return product + q.offset;
  }
};

SAQR_INLINE vf roundTo(vf v, bool rounded) { return rounded ? (vf)(roundBf16(v) << 16) : v; }

// A block has but 16 values: they are scaled (and rounded) once, then looked up by nibble.
template <class Out> struct Table;

template <> struct Table<float> {
  static constexpr int kAtOnce = W;
  alignas(64) float values[16];
  Table(const float* codebook, float scale, bool rounded) {
    for (int i = 0; i < 16; i += W) store(values + i, roundTo(load(codebook + i) * set1(scale), rounded));
  }
  // kAtOnce elements of kAtOnce / 2 bytes: a byte in each lane, shifted where the high nibble is meant
  SAQR_INLINE void look(const uint8_t* p, float* out) const {
#if defined(__AVX512F__)
    const __m512i place = _mm512_set_epi64(0x8080800780808007, 0x8080800680808006, 0x8080800580808005, 0x8080800480808004, 0x8080800380808003,
                                           0x8080800280808002, 0x8080800180808001, 0x8080800080808000);
    int64_t bytes;
    memcpy(&bytes, p, 8);
    __m512i code = _mm512_srlv_epi32(_mm512_shuffle_epi8(_mm512_set1_epi64(bytes), place), _mm512_set1_epi64(4));
    _mm512_storeu_ps(out, _mm512_permutexvar_ps(code, _mm512_load_ps(values)));  // it reads the lower four bits
#elif defined(__AVX2__)
    const __m256i place = _mm256_set_epi64x(0x8080800380808003, 0x8080800280808002, 0x8080800180808001, 0x8080800080808000);
    int32_t bytes;
    memcpy(&bytes, p, 4);
    __m256i code = _mm256_srlv_epi32(_mm256_shuffle_epi8(_mm256_set1_epi32(bytes), place), _mm256_set1_epi64x(4));
    __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(values), code), high = _mm256_permutevar8x32_ps(_mm256_load_ps(values + 8), code);
    _mm256_storeu_ps(out, _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28))));  // three bits, and the fourth
#else
    for (int i = 0; i < W; i += 2) out[i] = values[p[i / 2] >> 4], out[i + 1] = values[p[i / 2] & 15];
#endif
  }
};

template <> struct Table<bf16> {
  static constexpr int kAtOnce = 2 * W;
  alignas(32) bf16 values[16];
#if defined(__AVX512BF16__)
  __m512i twice;  // the lookup reads five bits
  Table(const float* codebook, float scale, bool) {
    __m256i rounded = (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(_mm512_loadu_ps(codebook), _mm512_set1_ps(scale)));
    twice = _mm512_broadcast_i64x4(rounded);
    _mm256_store_si256((__m256i*)values, rounded);
  }
  SAQR_INLINE void look(const uint8_t* p, bf16* out) const {
    const __m512i place = _mm512_set_epi64(0x800f800f800e800e, 0x800d800d800c800c, 0x800b800b800a800a, 0x8009800980088008, 0x8007800780068006,
                                           0x8005800580048004, 0x8003800380028002, 0x8001800180008000);
    __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i*)p));
    __m512i code = _mm512_srlv_epi16(_mm512_shuffle_epi8(bytes, place), _mm512_set1_epi32(4));
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(code, twice));
  }
#else
  Table(const float* codebook, float scale, bool) {
    for (int i = 0; i < 16; i++) values[i] = toBf16(codebook[i] * scale);
  }
  SAQR_INLINE void look(const uint8_t* p, bf16* out) const {
    for (int i = 0; i < 2 * W; i += 2) out[i] = values[p[i / 2] >> 4], out[i + 1] = values[p[i / 2] & 15];
  }
#endif
};

template <class Out>
static void nf4(const Tensor& t, int64_t row, int64_t from, int64_t count, Out* out, bool rounded) {
  constexpr int kAtOnce = Table<Out>::kAtOnce;
  const Quant& q = *t.quant;
  const uint8_t* packed = static_cast<const uint8_t*>(t.data);
  int64_t at = row * t.stride + from;
  const int64_t end = at + count;
  Scales scales(q, at / q.blocksize);
  if (constexpr int kUsual = 64; q.blocksize == kUsual && at % kUsual == 0) {
    for (; at + kUsual <= end; at += kUsual, out += kUsual) {
      const Table<Out> table(q.codebook, scales.next(), rounded);
#pragma GCC unroll 8
      for (int i = 0; i < kUsual; i += kAtOnce) table.look(packed + (at + i) / 2, out + i);
    }
  }
  for (int64_t stop = scales.block * q.blocksize; at < end;) {
    const Table<Out> table(q.codebook, scales.next(), rounded);
    stop = std::min(end, stop + q.blocksize);
    if (at % 2) *out++ = table.values[packed[at++ / 2] & 15];
    for (; at + kAtOnce <= stop; at += kAtOnce, out += kAtOnce) table.look(packed + at / 2, out);
    for (; at < stop; at++) *out++ = table.values[at % 2 ? packed[at / 2] & 15 : packed[at / 2] >> 4];
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
