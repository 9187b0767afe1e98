// GGUF's super-blocks of 256, bit for bit as ggml makes them: a lane of a vector is a sub-block of its own, so that the order of sums within each
// is theirs.
#include <algorithm>
#include "ggml-parts.hpp"
#include "transpose.hpp"

namespace saqr {
namespace ggml {
namespace {

constexpr float kNothing = 1e-15f;  // a sub-block this small is zeros

// x[l] holds weight l of W sub-blocks of `n`
template <int n>
void turn(const float* from, vf* x) {
  for (int l = 0; l < n; l += W) {
    vf v[W];
    for (int lane = 0; lane < W; lane++) v[lane] = load(from + lane * n + l);
    transpose(v);
    for (int i = 0; i < W; i++) x[l + i] = v[i];
  }
}
// four codes are one lane: bytes lie where they belong once lanes do
template <int n>
void turnBack(const vf* codes, uint8_t* to) {
  constexpr int words = n / 4, bytes = 4 * std::min(W, words);
  for (int from = 0; from < words; from += W) {
    vi v[W] = {};
    for (int i = 0; i < W && from + i < words; i++) {
      const vf* four = codes + 4 * (from + i);
      v[i] = whole(four[0]) | whole(four[1]) << 8 | whole(four[2]) << 16 | whole(four[3]) << 24;
    }
    transpose(v);
    for (int lane = 0; lane < W; lane++) memcpy(to + lane * n + 4 * from, &v[lane], bytes);
  }
}

inline bool any(vi mask) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return _mm256_movemask_ps((__m256)mask);
#else
  int32_t lanes[W], all = 0;
  store(lanes, mask);
  for (int32_t lane : lanes) all |= lane;
  return all;
#endif
}

// `nearest` of what is below 2^22: one instruction, or 1.5 · 2^23 + x has whole numbers for lower bits, and taking it off again is exact. Zeros may
// differ in their signs, which no sum and no square keeps.
SAQR_INLINE vf code(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__AVX2__)
  return (vf)_mm256_round_ps((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  return x + 12582912.0f - 12582912.0f;
#endif
}
SAQR_INLINE vf code(vf x, float low, float high) { return min(set1(high), max(set1(low), code(x))); }
// … and of anything: beyond 2^22 the lower bits are what ggml has
SAQR_INLINE vf codeOfAny(vf x, int low, int high) { return floats(clampTo(nearest(x), low, high)); }

/*
 * scale · l + low of sub-blocks of 32: of several grids, each with the scale and the low that weighted least squares give it, the one
 * whose error is the least. Weights are a sub-block's root mean square plus |x|. A low is never positive. Each sum waits for the one before it, so
 * two vectors of sub-blocks go side by side.
 */
constexpr int kSide = 2;
struct Fit {
  vf x[32], w[32], codes[32];
  vf high, low, sumW, sumX, grid, gridScale, gridLow, scale, best, flatLow;
  vf least;
  vi flat;
};
// what codes on a grid need
enum class Clamp { none, high, both, any };
template <int most>
Clamp clampOf(const Fit& f) {
  const vf up = f.grid * (f.high - f.low), down = f.grid * (f.least - f.low);  // the largest and the least of its products with x − low
  const vi counts = ~f.flat;
  if (any(counts & ~((vi)(max(abs(up), abs(down)) < 4e6f)))) return Clamp::any;
  if (any(counts & (vi)(code(down) < 0.0f))) return Clamp::both;
  return any(counts & (vi)(code(up) > static_cast<float>(most))) ? Clamp::high : Clamp::none;
}

template <int most, int steps>
void fitRange(const float* from, float first, float* scales, float* lows, uint8_t* q) {
  Fit fits[kSide];
  for (int v = 0; v < kSide; v++) {
    Fit& f = fits[v];
    turn<32>(from + v * W * 32, f.x);
    const vf *x = f.x, squares = [&] {
      vf sum = {};
      for (int l = 0; l < 32; l++) sum += f.x[l] * f.x[l];
      return sum;
    }();
    const vf mean = sqrt(squares / 32.0f);
    for (int l = 0; l < 32; l++) f.w[l] = mean + abs(x[l]);
    vf low = x[0], high = x[0], sumW = f.w[0], sumX = sumW * x[0];
    for (int l = 1; l < 32; l++) {
      low = x[l] < low ? x[l] : low;
      high = x[l] > high ? x[l] : high;
      sumW += f.w[l];
      sumX += f.w[l] * x[l];
    }
    f.least = low;
    f.low = f.flatLow = f.gridLow = low > 0.0f ? vf{} : low;
    f.high = high, f.sumW = sumW, f.sumX = sumX;
    f.flat = (vi)(f.high == f.low);
    f.gridScale = static_cast<float>(most) / (f.high - f.low);  // of the best grid
    f.scale = 1.0f / f.gridScale, f.best = vf{};
    for (int l = 0; l < 32; l++) {
      vf diff = f.scale * codeOfAny(f.gridScale * (x[l] - f.low), 0, most) + f.low - x[l];
      f.best += f.w[l] * (diff * diff);
    }
  }
  for (int step = 0; step <= steps; step++) {
    Clamp clamp = Clamp::none;
    for (Fit& f : fits) {
      f.grid = (first + 0.1f * step + most) / (f.high - f.low);
      clamp = std::max(clamp, clampOf<most>(f));
    }
    vf sumL[kSide] = {}, sumL2[kSide] = {}, sumXL[kSide] = {};
    auto sums = [&](auto codeOf) {
      for (int l = 0; l < 32; l++) {
#pragma GCC unroll 2
        for (int v = 0; v < kSide; v++) {
          Fit& f = fits[v];
          vf code = f.codes[l] = codeOf(f.grid * (f.x[l] - f.low));
          vf weighted = f.w[l] * code;
          sumL[v] += weighted;
          sumL2[v] += weighted * code;
          sumXL[v] += weighted * f.x[l];
        }
      }
    };
    if (clamp == Clamp::none) sums([](vf x) { return code(x); });
    else if (clamp == Clamp::high) sums([](vf x) { return min(set1(static_cast<float>(most)), code(x)); });
    else if (clamp == Clamp::both) sums([](vf x) { return code(x, 0, most); });
    else sums([](vf x) { return codeOfAny(x, 0, most); });
    vf determinant[kSide], ownScale[kSide], ownLow[kSide], error[kSide] = {};
    for (int v = 0; v < kSide; v++) {
      const Fit& f = fits[v];
      determinant[v] = f.sumW * sumL2[v] - sumL[v] * sumL[v];
      vf scale = (f.sumW * sumXL[v] - f.sumX * sumL[v]) / determinant[v], low = (sumL2[v] * f.sumX - sumL[v] * sumXL[v]) / determinant[v];
      vi above = (vi)(low > 0.0f);
      ownScale[v] = select(above, sumXL[v] / sumL2[v], scale);
      ownLow[v] = select(above, vf{}, low);
    }
    for (int l = 0; l < 32; l++) {
#pragma GCC unroll 2
      for (int v = 0; v < kSide; v++) {
        vf diff = ownScale[v] * fits[v].codes[l] + ownLow[v] - fits[v].x[l];
        error[v] += fits[v].w[l] * (diff * diff);
      }
    }
    for (int v = 0; v < kSide; v++) {
      Fit& f = fits[v];
      vi better = (vi)(determinant[v] > 0.0f) & (vi)(error[v] < f.best);
      f.gridScale = select(better, f.grid, f.gridScale);
      f.gridLow = select(better, f.low, f.gridLow);
      f.best = select(better, error[v], f.best);
      f.scale = select(better, ownScale[v], f.scale);
      f.low = select(better, ownLow[v], f.low);
    }
  }
  for (int v = 0; v < kSide; v++) {
    Fit& f = fits[v];
    for (int l = 0; l < 32; l++) f.codes[l] = select(f.flat, vf{}, codeOfAny(f.gridScale * (f.x[l] - f.gridLow), 0, most));
    turnBack<32>(f.codes, q + v * W * 32);
    store(scales + v * W, select(f.flat, vf{}, f.scale));
    store(lows + v * W, -select(f.flat, f.flatLow, f.low));
  }
}

// 6 bits of scale and low of each of 8 sub-blocks in 12 bytes; the last four keep their upper two bits in the first eight
void packScales(const uint8_t* scales, const uint8_t* lows, uint8_t* out) {
  for (int j = 0; j < 4; j++) {
    out[j] = scales[j] | (scales[j + 4] >> 4) << 6;
    out[j + 4] = lows[j] | (lows[j + 4] >> 4) << 6;
    out[j + 8] = (scales[j + 4] & 15) | (lows[j + 4] & 15) << 4;
  }
}

// 256 weights with the fit of their 8 sub-blocks; q: the fit's codes, which stand where a sub-block's scale came to nothing
template <int most>
void withScales(const float* x, const float* scales, const float* lows, uint8_t* q, uint8_t* out) {
  float largestScale = 0, largestLow = 0;
  for (int j = 0; j < 8; j++) {
    largestScale = std::max(largestScale, scales[j]);
    largestLow = std::max(largestLow, lows[j]);
  }
  float perScale = largestScale > 0 ? 63.0f / largestScale : 0, perLow = largestLow > 0 ? 63.0f / largestLow : 0;
  uint8_t codes[8], lowCodes[8];
  for (int j = 0; j < 8; j++) {
    codes[j] = std::min<uint8_t>(63, static_cast<uint8_t>(nearest(perScale * scales[j])));
    lowCodes[j] = std::min<uint8_t>(63, static_cast<uint8_t>(nearest(perLow * lows[j])));
  }
  putHalf(out, largestScale / 63.0f);
  putHalf(out + 2, largestLow / 63.0f);
  packScales(codes, lowCodes, out + 4);
  float d = fromHalf(toHalf(largestScale / 63.0f)), dLow = fromHalf(toHalf(largestLow / 63.0f));
  for (int j = 0; j < 8; j++) {
    float scale = d * codes[j], low = dLow * lowCodes[j];
    if (!scale) continue;
    alignas(64) int32_t wide[32];
    for (int i = 0; i < 32; i += W) store(wide + i, clampTo(nearest((load(x + 32 * j + i) + low) / scale), 0, most));
    for (int i = 0; i < 32; i++) q[32 * j + i] = static_cast<uint8_t>(wide[i]);
  }
}

constexpr int kSuper = std::max(kSide * W / 8, 1);  // super-blocks whose sub-blocks of 32 fill vectors

// `count` of them, at most kSuper
template <int most, int steps>
void ranged(const float* x, int count, float first, uint8_t* out, int bytes, void (*pack)(const uint8_t*, uint8_t*)) {
  float scales[kSuper * 8], lows[kSuper * 8];
  uint8_t q[kSuper * 256];
  alignas(64) float filled[kSuper * 256];
  if (count < kSuper) {
    memset(filled, 0, sizeof filled);
    memcpy(filled, x, count * 256 * sizeof(float));
    x = filled;
  }
  for (int j = 0; j < kSuper * 8; j += kSide * W) fitRange<most, steps>(x + j * 32, first, scales + j, lows + j, q + j * 32);
  for (int s = 0; s < count; s++, out += bytes) {
    withScales<most>(x + s * 256, scales + s * 8, lows + s * 8, q + s * 256, out);
    pack(q + s * 256, out + 16);
  }
}

void packQ4_K(const uint8_t* q, uint8_t* out) {
  for (int j = 0; j < 4; j++, q += 64, out += 32)
    for (int l = 0; l < 32; l++) out[l] = q[l] | q[l + 32] << 4;
}
void packQ5_K(const uint8_t* q, uint8_t* out) {
  for (int l = 0; l < 32; l++) {
    int high = 0;
    for (int j = 0; j < 8; j++) high |= (q[32 * j + l] >> 4) << j;
    out[l] = static_cast<uint8_t>(high);
  }
  for (int j = 0; j < 4; j++)
    for (int l = 0; l < 32; l++) out[32 + 32 * j + l] = (q[64 * j + l] & 15) | (q[64 * j + l + 32] & 15) << 4;
}

// scale · (l − 32) of W sub-blocks of 16, weighted by x²: the grid whose least squares explain the most
void fitScale(const float* from, float* scales, uint8_t* q) {
  vf x[16], w[16], cubes[16];
  turn<16>(from, x);
  vf most = {}, signedMost = {};
  for (int l = 0; l < 16; l++) {
    w[l] = x[l] * x[l];
    cubes[l] = w[l] * x[l];
    vi more = (vi)(abs(x[l]) > most);
    most = select(more, abs(x[l]), most);
    signedMost = select(more, x[l], signedMost);
  }
  vi nothing = (vi)(most < kNothing);
  vf grid, sumXL, sumL2;
  auto sums = [&] {
    sumXL = sumL2 = vf{};
    for (int l = 0; l < 16; l++) {
      vf code = ggml::code(grid * x[l], -32, 31);
      sumXL += cubes[l] * code;
      sumL2 += w[l] * code * code;
    }
  };
  grid = -32.0f / signedMost;
  sums();
  vf scale = select((vi)(sumL2 != 0.0f), sumXL / sumL2, vf{});
  vf best = scale * sumXL, bestGrid = grid;
  for (int step = -9; step <= 9; step++) {
    if (step == 0) continue;
    grid = -(32 + 0.1f * step) / signedMost;
    sums();
    vi better = (vi)(sumL2 > 0.0f) & (vi)(sumXL * sumXL > best * sumL2);
    scale = select(better, sumXL / sumL2, scale);
    best = select(better, scale * sumXL, best);
    bestGrid = select(better, grid, bestGrid);
  }
  vf codes[16];
  for (int l = 0; l < 16; l++) codes[l] = select(nothing, vf{}, codeOfAny(bestGrid * x[l], -32, 31) + 32.0f);
  turnBack<16>(codes, q);
  store(scales, select(nothing, vf{}, scale));
}

void q6_K(const float* x, uint8_t* out) {
  float scales[16];
  uint8_t q[256];
  for (int j = 0; j < 16; j += W) fitScale(x + j * 16, scales + j, q + j * 16);
  float most = 0, signedMost = 0;
  for (float scale : scales) {
    if (std::fabs(scale) <= most) continue;
    most = std::fabs(scale);
    signedMost = scale;
  }
  if (most < kNothing) {
    memset(out, 0, 210);
    return;
  }
  float per = -128.0f / signedMost;
  putHalf(out + 208, 1 / per);
  float d = fromHalf(toHalf(1 / per));
  for (int j = 0; j < 16; j++) {
    int8_t code = static_cast<int8_t>(std::min(127, nearest(per * scales[j])));
    out[192 + j] = static_cast<uint8_t>(code);
    float scale = d * code;
    if (!scale) continue;
    alignas(64) int32_t wide[16];
    for (int i = 0; i < 16; i += W) store(wide + i, clampTo(nearest(load(x + 16 * j + i) / scale), -32, 31) + 32);
    for (int i = 0; i < 16; i++) q[16 * j + i] = static_cast<uint8_t>(wide[i]);
  }
  for (int half = 0; half < 2; half++) {
    const uint8_t* from = q + 128 * half;
    uint8_t *low = out + 64 * half, *high = out + 128 + 32 * half;
    for (int l = 0; l < 32; l++) {
      low[l] = (from[l] & 15) | (from[l + 64] & 15) << 4;
      low[l + 32] = (from[l + 32] & 15) | (from[l + 96] & 15) << 4;
      high[l] = from[l] >> 4 | (from[l + 32] >> 4) << 2 | (from[l + 64] >> 4) << 4 | (from[l + 96] >> 4) << 6;
    }
  }
}

}  // namespace

const Type kSuperBlocks[3] = {
    {12, 256, 144, kSuper, [](const float* x, int n, uint8_t* out) { ranged<15, 20>(x, n, -1.0f, out, 144, packQ4_K); }},
    {13, 256, 176, kSuper, [](const float* x, int n, uint8_t* out) { ranged<31, 15>(x, n, -0.5f, out, 176, packQ5_K); }},
    {14, 256, 210, 1, [](const float* x, int, uint8_t* out) { q6_K(x, out); }},
};

}  // namespace ggml
}  // namespace saqr
