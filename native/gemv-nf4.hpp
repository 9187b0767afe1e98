// Products of few rows with NF4 as bitsandbytes makes it, whose values go from where they are looked up into the sums: the bits of values that
// were decoded first.
#pragma once
#include <cmath>
#include "gemm-nf4.hpp"
#include "gemv-blocks.hpp"

namespace saqr::gemm {

#if SAQR_NF4_PLANES
inline bool inUsualBlocks(const Tensor& t) {
  return t.dtype == DType::nf4 && t.quant->blocksize == kUsualBlock && t.cols % kUsualBlock == 0 && t.stride % kUsualBlock == 0;
}

template <int M, bool rounded>
static void nf4Dots(const Tensor& t, const int64_t* rows, const float* x, int64_t apart, vf* sums) {
  constexpr int R = rowsTogether(M);
  const Quant& q = *t.quant;
  const uint8_t* packed[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) packed[r] = static_cast<const uint8_t*>(t.data) + rows[r] * t.stride / 2;
  auto scalesOf = [&](int r) { return Scales(q, t.firstBlock + rows[r] * t.stride / kUsualBlock); };
  Scales scales[4] = {scalesOf(0), scalesOf(1), scalesOf(R > 2 ? 2 : 0), scalesOf(R > 3 ? 3 : 0)};
  vf sum[R][M];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sum[r][m] = sums[r * M + m];
  }
  for (int64_t k = 0; k < t.cols; k += kUsualBlock) {
#pragma GCC unroll 4
    for (int r = 0; r < R; r += 2) {
      // a row's sums wait for each other: two rows side by side
      const float scale[2] = {scales[r].next(), scales[r + 1].next()};
      const uint8_t* from[2] = {packed[r] + k / 2, packed[r + 1] + k / 2};
      auto putOf = [&](int side) {
        return [&sum, x, apart, k, r, side](int i, vf v) {
#pragma GCC unroll 8
          for (int m = 0; m < M; m++) sum[r + side][m] = fma(v, load(x + m * apart + k + i), sum[r + side][m]);
        };
      };
      for (const uint8_t* row : from) __builtin_prefetch(row + kAhead, 0, 3);
      if (std::isfinite(scale[0]) && std::isfinite(scale[1])) {
        const UsualBlock<rounded> first(q.codebook, scale[0], from[0]), second(q.codebook, scale[1], from[1]);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) first.half(half, putOf(0)), second.half(half, putOf(1));
      } else {
        for (int side = 0; side < 2; side++) {
          const Table<float> table(q.codebook, scale[side], rounded);
          for (int i = 0; i < kUsualBlock; i += W) putOf(side)(i, table.look(from[side] + i / 2));
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) sums[r * M + m] = sum[r][m];
  }
}

template <bool rounded>
static auto nf4DotsOf(int64_t m) {
  using Dots = void (*)(const Tensor&, const int64_t*, const float*, int64_t, vf*);
  static constexpr Dots table[] = {nf4Dots<1, rounded>, nf4Dots<2, rounded>, nf4Dots<3, rounded>, nf4Dots<4, rounded>,
                                   nf4Dots<5, rounded>, nf4Dots<6, rounded>, nf4Dots<7, rounded>, nf4Dots<8, rounded>};
  return table[m - 1];
}
#endif

}  // namespace saqr::gemm
