#include "gemm-decode.hpp"
#include <algorithm>
#include "gemm-nf4.hpp"

namespace saqr::gemm {

bool decodable(const Tensor& t) {
  return t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16 || (t.dtype == DType::nf4 && t.quant);
}

template <class Out>
static void nf4(const Tensor& t, int64_t row, int64_t from, int64_t count, Out* out, bool rounded) {
  constexpr int kAtOnce = Table<Out>::kAtOnce;
  const Quant& q = *t.quant;
  const uint8_t* packed = static_cast<const uint8_t*>(t.data);
  int64_t at = row * t.stride + from;
  const int64_t end = at + count;
  Scales scales(q, t.firstBlock + at / q.blocksize);
  auto look = [&](const Table<Out>& table, int64_t at, Out* to) {
    const vf v = table.look(packed + at / 2);
    memcpy(to, &v, sizeof v);
  };
  if (q.blocksize == kUsualBlock && at % kUsualBlock == 0) {
    for (; at + kUsualBlock <= end; at += kUsualBlock, out += kUsualBlock) {
      const Table<Out> table(q.codebook, scales.next(), rounded);
#pragma GCC unroll 8
      for (int i = 0; i < kUsualBlock; i += kAtOnce) look(table, at + i, out + i);
    }
  }
  for (int64_t stop = (scales.block - t.firstBlock) * q.blocksize; at < end;) {
    const Table<Out> table(q.codebook, scales.next(), rounded);
    stop = std::min(end, stop + q.blocksize);
    if (at % 2) *out++ = table.values[packed[at++ / 2] & 15];
    for (; at + kAtOnce <= stop; at += kAtOnce, out += kAtOnce) look(table, at, out);
    for (; at < stop; at++) *out++ = table.values[at % 2 ? packed[at / 2] & 15 : packed[at / 2] >> 4];
  }
}

// --- plain dtypes ---
template <class In, class Load, class Out>
static void plain(const In* in, int64_t count, Load load, Out* out, bool rounded) {
  int64_t i = 0;
  for (; i + W <= count; i += W) storeF(out + i, roundedTo(load(in + i), rounded));
  if (i < count) {
    In rest[W] = {};
    std::copy(in + i, in + count, rest);
    storeFirst(out + i, roundedTo(load(rest), rounded), static_cast<int>(count - i));
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
