// GGUF's super-blocks of 256, bit for bit as ggml makes them: a lane of a vector is a sub-block of its own, so that the order of sums within each
// is theirs.
#include <algorithm>
#include "ggml-parts.hpp"

namespace saqr {
namespace ggml {
namespace {

constexpr float kNothing = 1e-15f;  // a sub-block this small is zeros

// x[l] holds weight l of W sub-blocks of `n`
template <int n>
void turn(const float* from, vf* x) {
  alignas(64) float lanes[n][W];
  for (int lane = 0; lane < W; lane++)
    for (int l = 0; l < n; l++) lanes[l][lane] = from[lane * n + l];
  for (int l = 0; l < n; l++) x[l] = load(lanes[l]);
}
template <int n>
void turnBack(const vi* q, uint8_t* to) {
  for (int lane = 0; lane < W; lane++)
    for (int l = 0; l < n; l++) to[lane * n + l] = static_cast<uint8_t>(q[l][lane]);
}

/*
 * scale · l + low of W sub-blocks of 32: of several grids, each with the scale and the low that weighted least squares give it, the one
 * whose error is the least. Weights are a sub-block's root mean square plus |x|. A low is never positive.
 */
template <int most, int steps>
void fitRange(const float* from, float first, float* scales, float* lows, uint8_t* q) {
  vf x[32], w[32];
  turn<32>(from, x);
  vf squares = {};
  for (int l = 0; l < 32; l++) squares += x[l] * x[l];
  vf mean = sqrt(squares / 32.0f);
  for (int l = 0; l < 32; l++) w[l] = mean + abs(x[l]);
  vf low = x[0], high = x[0], sumW = w[0], sumX = sumW * x[0];
  for (int l = 1; l < 32; l++) {
    low = x[l] < low ? x[l] : low;
    high = x[l] > high ? x[l] : high;
    sumW += w[l];
    sumX += w[l] * x[l];
  }
  low = low > 0.0f ? vf{} : low;
  vi flat = (vi)(high == low);
  vf flatLow = low;
  vf gridScale = static_cast<float>(most) / (high - low), gridLow = low;  // of the best grid
  vf scale = 1.0f / gridScale, best = {};
  for (int l = 0; l < 32; l++) {
    vf code = floats(clampTo(nearest(gridScale * (x[l] - low)), 0, most));
    vf diff = scale * code + low - x[l];
    best += w[l] * (diff * diff);
  }
  for (int step = 0; step <= steps; step++) {
    vf grid = (first + 0.1f * step + most) / (high - low);
    vf codes[32], sumL = {}, sumL2 = {}, sumXL = {};
    for (int l = 0; l < 32; l++) {
      vf code = codes[l] = floats(clampTo(nearest(grid * (x[l] - low)), 0, most));
      vf weighted = w[l] * code;
      sumL += weighted;
      sumL2 += weighted * code;
      sumXL += weighted * x[l];
    }
    vf determinant = sumW * sumL2 - sumL * sumL;
    vf ownScale = (sumW * sumXL - sumX * sumL) / determinant, ownLow = (sumL2 * sumX - sumL * sumXL) / determinant;
    vi above = (vi)(ownLow > 0.0f);
    ownScale = select(above, sumXL / sumL2, ownScale);
    ownLow = select(above, vf{}, ownLow);
    vf error = {};
    for (int l = 0; l < 32; l++) {
      vf diff = ownScale * codes[l] + ownLow - x[l];
      error += w[l] * (diff * diff);
    }
    vi better = (vi)(determinant > 0.0f) & (vi)(error < best);
    gridScale = select(better, grid, gridScale);
    gridLow = select(better, low, gridLow);
    best = select(better, error, best);
    scale = select(better, ownScale, scale);
    low = select(better, ownLow, low);
  }
  vi codes[32];
  for (int l = 0; l < 32; l++) codes[l] = flat ? vi{} : clampTo(nearest(gridScale * (x[l] - gridLow)), 0, most);
  turnBack<32>(codes, q);
  store(scales, select(flat, vf{}, scale));
  store(lows, -select(flat, flatLow, low));
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

constexpr int kSuper = std::max(W / 8, 1);  // super-blocks whose sub-blocks of 32 fill vectors

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
  for (int j = 0; j < kSuper * 8; j += W) fitRange<most, steps>(x + j * 32, first, scales + j, lows + j, q + j * 32);
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
      vf code = floats(clampTo(nearest(grid * x[l]), -32, 31));
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
  vi codes[16];
  for (int l = 0; l < 16; l++) codes[l] = nothing ? vi{} : clampTo(nearest(bestGrid * x[l]), -32, 31) + 32;
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
