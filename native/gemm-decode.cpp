#include "gemm-decode.hpp"
#include <algorithm>
#include <cmath>
#include "gemm-nf4.hpp"
#include "ggml-codes.hpp"

namespace saqr::gemm {

bool inBlocks(const Tensor& t) { return t.dtype >= DType::q4_0 && t.dtype <= DType::q6_k; }

bool decodable(const Tensor& t) {
  return t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16 || (t.dtype == DType::nf4 && t.quant) || inBlocks(t);
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
      const float scale = scales.next();
#if SAQR_NF4_PLANES
      if constexpr (sizeof(Out) == 4) {
        if (std::isfinite(scale)) {
          auto put = [out](int i, vf v) { store(out + i, v); };
          if (rounded) usualBlock<true>(q.codebook, scale, packed + at / 2, put);
          else usualBlock<false>(q.codebook, scale, packed + at / 2, put);
          continue;
        }
      }
#endif
      const Table<Out> table(q.codebook, scale, rounded);
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

// --- GGUF's blocks ---
template <class Kind, class Out>
static void blocks(const Tensor& t, int64_t row, int64_t from, int64_t count, Out* out, bool rounded) {
  constexpr int kParts = Kind::kWeights / 32;
  const int64_t at = row * t.stride + from;
  const uint8_t* data = static_cast<const uint8_t*>(t.data);
  auto part = [&](const uint8_t* block, int j, Out* to) {
#if SAQR_LOOKUP
    if constexpr (sizeof(Out) == 2 && requires { Kind::bf16s(block, j); }) {
      const vf v = Kind::bf16s(block, j);
      memcpy(to, &v, sizeof v);
      return;
    }
#endif
    ggml::Codes codes;
    Kind::take(block, j, codes);
    ggml::values<Kind>(codes, [&](int i, vf v) { storeF(to + i, sizeof(Out) == 2 ? v : roundedTo(v, rounded)); });
  };
  auto block = [&](int64_t index) { return data + index / kParts * Kind::kBytes; };
  int64_t i = 0;
  if (const int64_t within = at % 32; within || count < 32) {
    Out first[32];
    part(block(at / 32), static_cast<int>(at / 32 % kParts), first);
    i = std::min(32 - within, count);
    std::copy_n(first + within, i, out);
  }
  const uint8_t* p = block((at + i) / 32);
  int j = static_cast<int>((at + i) / 32 % kParts);
  auto next = [&] {
    if (++j == kParts) j = 0, p += Kind::kBytes;
  };
  for (; i + 32 <= count; i += 32, next()) part(p, j, out + i);
  if (i < count) {
    Out last[32];
    part(p, j, last);
    std::copy_n(last, count - i, out + i);
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
    case DType::q4_0: return blocks<ggml::Q4_0>(t, row, from, count, out, rounded);
    case DType::q4_1: return blocks<ggml::Q4_1>(t, row, from, count, out, rounded);
    case DType::q5_0: return blocks<ggml::Q5_0>(t, row, from, count, out, rounded);
    case DType::q5_1: return blocks<ggml::Q5_1>(t, row, from, count, out, rounded);
    case DType::q8_0: return blocks<ggml::Q8_0>(t, row, from, count, out, rounded);
    case DType::q4_k: return blocks<ggml::Q4_K>(t, row, from, count, out, rounded);
    case DType::q5_k: return blocks<ggml::Q5_K>(t, row, from, count, out, rounded);
    case DType::q6_k: return blocks<ggml::Q6_K>(t, row, from, count, out, rounded);
    default: return nf4(t, row, from, count, out, rounded);
  }
}

void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, float* out, bool rounded) { any(t, row, from, count, out, rounded); }
void decode(const Tensor& t, int64_t row, int64_t from, int64_t count, bf16* out, bool) { any(t, row, from, count, out, false); }

}  // namespace saqr::gemm
