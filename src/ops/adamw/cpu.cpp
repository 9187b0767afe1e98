// AdamW, with f32 or 8-bit state, in one pass over the flat range.
#include <algorithm>
#include "attrs/adamw.hpp"
#include "elementwise.hpp"

using namespace saqr;

namespace {

bool isFinite(const Tensor& norm) { return std::isfinite(*static_cast<const float*>(norm.data)); }

struct Update {
  float beta1, beta2, rest1, rest2, eps, decay, rate, root, clip;
  // stepFloats: lr, maxNorm (0: no clipping), t
  Update(const attrs::adamw& a, const Tensor& norm, const Tensor& stepFloats) {
    const float* s = static_cast<const float*>(stepFloats.data);
    const double lr = s[0] * a.rate, maxNorm = s[1], t = s[2];
    beta1 = static_cast<float>(a.beta1), rest1 = static_cast<float>(1 - a.beta1);
    beta2 = static_cast<float>(a.beta2), rest2 = static_cast<float>(1 - a.beta2);
    eps = static_cast<float>(a.eps);
    decay = static_cast<float>(1 - lr * a.weightDecay);
    rate = static_cast<float>(lr / (1 - std::pow(a.beta1, t)));
    root = static_cast<float>(1 / std::sqrt(1 - std::pow(a.beta2, t)));
    const double coefficient = maxNorm / (static_cast<double>(*static_cast<const float*>(norm.data)) + 1e-6);
    clip = maxNorm > 0 && !(coefficient > 1) ? static_cast<float>(coefficient) : 1.0f;
  }
  // m and v become the new ones, the new p is returned
  SAQR_INLINE vf operator()(vf p, vf g, vf& m, vf& v) const {
    g *= clip;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    return p * decay - rate * m / (sqrt(v) * root + eps);
  }
};

bool areF32(const Tensor* tensors, std::initializer_list<int> which) {
  return std::all_of(which.begin(), which.end(), [&](int i) { return tensors[i].dtype == DType::f32; });
}

// --- 8 bits ---
constexpr int64_t kBlock = 256;

// The code whose map value lies nearest, the lower one on a tie: as many codes as there are midpoints below the value. A table gives that
// number for the start of the value's bucket (its sign, exponent and 7 bits of fraction); what lies between is counted, one at most in
// the dynamic maps.
struct Codes {
  static constexpr int32_t kLowest = (127 - 24) << 7, kBuckets = (24 << 7) + 2;  // 2⁻²⁴ … 1, beyond: the last
  float map[256], middle[256];
  int steps;
  uint8_t first[2 * kBuckets];  // of positive values, then of negative ones

  static float edge(int32_t bucket) {  // the least magnitude in it
    if (bucket == 0) return 0;
    if (bucket >= kBuckets) return INFINITY;
    const int32_t bits = (bucket + kLowest) << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
  }
  void make(const float* values) {
    memcpy(map, values, sizeof map);
    for (int i = 0; i < 255; i++) middle[i] = (map[i] + map[i + 1]) / 2;
    middle[255] = INFINITY;
    steps = 0;
    int up = 0, down = 255;  // midpoints below the edge, and below its negative
    while (middle[up] < 0) up++;
    while (down > 0 && middle[down - 1] >= 0) down--;
    for (int32_t b = 0; b < kBuckets; b++) {
      const int upBefore = up, downBefore = down;
      const float next = edge(b + 1);
      while (up < 255 && middle[up] < next) up++;
      while (down > 0 && middle[down - 1] >= -next) down--;
      first[b] = static_cast<uint8_t>(upBefore);
      first[kBuckets + b] = static_cast<uint8_t>(down);
      steps = std::max({steps, up - upBefore, downBefore - down});
    }
  }
  void nearest(const float* values, float scale, uint8_t* codes, int64_t n) const {
    alignas(64) float x[kBlock];
    alignas(64) int32_t bucket[kBlock];
    for (int64_t i = 0; i < n; i += W) {
      const vf v = load(values + i) * scale;
      const vi above = (asInt(abs(v)) >> 16) - kLowest, b = above < 0 ? vi{} : above >= kBuckets ? set1(kBuckets - 1) : above;
      store(x + i, v);
      store(bucket + i, b + (asInt(v) < 0 ? set1(kBuckets) : vi{}));
    }
    for (int64_t i = 0; i < n; i++) {
      unsigned code = first[bucket[i]];
      code += middle[code] < x[i];
      codes[i] = static_cast<uint8_t>(code);
    }
    for (int s = 1; s < steps; s++) {
      for (int64_t i = 0; i < n; i++) codes[i] += middle[codes[i]] < x[i];
    }
  }
};

struct State8 {
  Codes codes;
  alignas(64) float values[kBlock];

  void read(const uint8_t* from, float absmax, int64_t n) {
    for (int64_t i = 0; i < n; i++) values[i] = codes.map[from[i]] * absmax;
  }
  float write(uint8_t* to, int64_t n) {
    vf top{};
    vectors(0, n, [&](int64_t i, auto k) { top = max(abs(F32::load(values + i, k)), top); });
    const float absmax = maxOf(top);
    codes.nearest(values, 1 / std::max(absmax, 1e-38f), to, n);
    return absmax;
  }
};

struct Scratch8 {
  State8 m, v;
};
static_assert(sizeof(Scratch8) <= kScratchBytes);

}  // namespace

SAQR_KERNEL(adamw) {
  const Tensor* t = step.tensors;  // p, g, m, v; p, g, m, v, norm, stepFloats
  if (!areF32(t, {0, 1, 2, 3, 8, 9})) return worker.fail("adamw takes f32 weights, gradients and state");
  if (!isFinite(t[8])) return;
  const Update update(attrs::adamw(step), t[8], t[9]);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0), *m = rowOf<F32>(t[2], 0), *v = rowOf<F32>(t[3], 0);
  const Range part = share(worker, t[0].cols, 64);
  vectors(part.from, part.to, [&](int64_t i, auto n) {
    vf ms = F32::load(m + i, n), vs = F32::load(v + i, n);
    F32::store(p + i, update(F32::load(p + i, n), F32::load(g + i, n), ms, vs), n);
    F32::store(m + i, ms, n);
    F32::store(v + i, vs, n);
    F32::store(g + i, vf{}, n);
  });
}

SAQR_KERNEL(adamw_8bit) {
  const Tensor* t = step.tensors;  // p, g, m, v, absmaxM, absmaxV; the same, mapM, mapV, norm, stepFloats
  if (!areF32(t, {0, 1, 4, 5, 12, 13, 14, 15}) || t[2].dtype != DType::u8 || t[3].dtype != DType::u8) {
    return worker.fail("adamw_8bit takes f32 weights and gradients, u8 state and f32 scales and maps");
  }
  if (!isFinite(t[14])) return;
  const Update update(attrs::adamw(step), t[14], t[15]);
  Scratch8& scratch = *reinterpret_cast<Scratch8*>(worker.scratch);
  State8 &m = scratch.m, &v = scratch.v;
  m.codes.make(rowOf<F32>(t[12], 0));
  v.codes.make(rowOf<F32>(t[13], 0));
  float *absmaxM = rowOf<F32>(t[4], 0), *absmaxV = rowOf<F32>(t[5], 0);
  auto *codesM = static_cast<uint8_t*>(t[2].data), *codesV = static_cast<uint8_t*>(t[3].data);
  const int64_t size = t[0].cols;
  const Range part = share(worker, size, kBlock);
  for (int64_t at = part.from; at < part.to; at += kBlock) {
    const int64_t n = std::min(kBlock, size - at), block = at / kBlock;
    float *p = rowOf<F32>(t[0], 0) + at, *g = rowOf<F32>(t[1], 0) + at;
    m.read(codesM + at, absmaxM[block], n);
    v.read(codesV + at, absmaxV[block], n);
    vectors(0, n, [&](int64_t i, auto k) {
      vf ms = F32::load(m.values + i, k), vs = F32::load(v.values + i, k);
      F32::store(p + i, update(F32::load(p + i, k), F32::load(g + i, k), ms, vs), k);
      F32::store(m.values + i, ms, k);
      F32::store(v.values + i, vs, k);
      F32::store(g + i, vf{}, k);
    });
    absmaxM[block] = m.write(codesM + at, n);
    absmaxV[block] = v.write(codesV + at, n);
  }
}
