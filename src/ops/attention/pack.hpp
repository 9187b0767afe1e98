// Rows of q, k, v and dO into the orders that the products read, and sums back into rows.
#pragma once
#include <algorithm>
#include "gemm-units.hpp"
#include "units.hpp"

namespace saqr::attention {

// W units (or those of the first n channels, then zeros) of a row that lies in memory as T
template <class U, class T>
SAQR_INLINE vi loadUnits(const T* p) {
  if constexpr (sizeof(T) * U::kPer == 4) return loadAs<vi>(p);
  else return asInt(loadF(p));
}
template <class U, class T>
SAQR_INLINE vi loadUnits(const T* p, int n) {
  T part[W * U::kPer] = {};
  memcpy(part, p, n * sizeof(T));
  return loadUnits<U>(part);
}

// to[c · toStep + r] = unit c of row r: W rows side by side in lanes; those from `rows` on are zero, and channels past `channels`.
template <class U, class T>
void packTransposed(int32_t* to, int64_t toStep, const T* from, int64_t fromStride, int rows, int64_t units, int64_t channels) {
  for (int64_t c = 0; c < units; c += W) {
    const int n = static_cast<int>(units - c < W ? units - c : W);
    const int64_t left = channels - c * U::kPer, most = W * U::kPer;
    const T* at = from + c * U::kPer;
    vi v[W];
    if (rows >= W && left >= most) {
#pragma GCC unroll 16
      for (int r = 0; r < W; r++) v[r] = loadUnits<U>(at + r * fromStride);
    } else {
      for (int r = 0; r < W; r++) v[r] = r < rows && left > 0 ? loadUnits<U>(at + r * fromStride, static_cast<int>(left < most ? left : most)) : vi{};
    }
    transpose(v);
    for (int r = 0; r < n; r++) store(to + (c + r) * toStep, v[r]);
  }
}

// to[r · toStep + c] = channel c of rows r·kPer …: the rows themselves are what is summed over. Rows from `rows` on are zero, channels up
// to toStep too.
template <class U, class T>
void packRows(int32_t* to, int64_t toStep, const T* from, int64_t fromStride, int rows, int unitRows, int64_t channels) {
  for (int r = 0; r < unitRows; r++, to += toStep) {
    const T* first = from + r * U::kPer * fromStride;
    for (int64_t c = 0; c < toStep; c += W) {
      const int n = static_cast<int>(channels - c < W ? channels - c : W), room = static_cast<int>(toStep - c < W ? toStep - c : W);
      auto row = [&](int k) {
        if (r * U::kPer + k >= rows || n <= 0) return vi{};
        const T* p = first + k * fromStride + c;
        return asInt(n == W ? loadF(p) : loadFirst(p, n));
      };
      vi v = row(0);
      if constexpr (U::kPer == 2) v = (vi)((vu)v >> 16) | row(1);
      if (room == W) store(to + c, v);
      else memcpy(to + c, &v, room * sizeof(int32_t));
    }
  }
}

// Rows as they are, `toStride` apart; rows from `rows` up to `all` are zero, channels up to toStride too.
template <class T>
void packPlain(T* to, int64_t toStride, const T* from, int64_t fromStride, int rows, int all, int64_t channels) {
  for (int r = 0; r < all; r++, to += toStride) {
    if (r < rows) memcpy(to, from + r * fromStride, channels * sizeof(T));
    const int64_t own = r < rows ? channels : 0;
    memset(to + own, 0, (toStride - own) * sizeof(T));
  }
}

// to[c · toStep + u] = channel c of rows 2u and 2u + 1: columns as rows. Rows from `rows` up to `all` (a multiple of 32) are zero, channels up
// to `padded` (a multiple of 16) too.
template <class T>
void packTurned(int32_t* to, int64_t toStep, const T* from, int64_t fromStride, int rows, int all, int64_t channels, int64_t padded) {
  static const T zeros[16] = {};
  for (int first = 0; first < all; first += 2 * W) {
    for (int64_t c = 0; c < padded; c += W) {
      const int n = static_cast<int>(std::clamp<int64_t>(channels - c, 0, W));
      auto row = [&](int r) { return r < rows && n > 0 ? from + r * fromStride + c : zeros; };
      vf v[W];
      for (int u = 0; u < W; u++) {
        const T *even = row(first + 2 * u), *odd = row(first + 2 * u + 1);
        v[u] = n == W ? gemm::join(even, odd) : gemm::joinFirst(even, odd, n);
      }
      transpose(v);
      for (int r = 0; r < W; r++) store(reinterpret_cast<float*>(to + (c + r) * toStep + first / 2), v[r]);
    }
  }
}

// Row r of `to` = lane r of from[c · fromStep …] · factor, for c < channels: the way back of packTransposed.
template <class T>
void unpackTransposed(T* to, int64_t toStride, const float* from, int64_t fromStep, int rows, int64_t channels, vf factor) {
  constexpr int kPer = 4 / sizeof(T);
  for (int64_t c = 0; c < channels; c += W * kPer) {
    const int n = static_cast<int>(channels - c < W * kPer ? channels - c : W * kPer);
    vi v[W];
    for (int u = 0; u < W; u++) {
      const float* at = from + (c + u * kPer) * fromStep;
      if (u * kPer >= n) v[u] = vi{};
      else if constexpr (kPer == 1) v[u] = asInt(load(at) * factor);
      else v[u] = pairOf(load(at) * factor, load(at + fromStep) * factor);
    }
    transpose(v);
    if (n == W * kPer) {
      for (int r = 0; r < rows; r++) memcpy(to + r * toStride + c, &v[r], sizeof v[r]);
    } else {
      for (int r = 0; r < rows; r++) memcpy(to + r * toStride + c, &v[r], n * sizeof(T));
    }
  }
}

// A row of `to` = from · factor
template <class T>
SAQR_INLINE void unpackRow(T* to, const float* from, int64_t channels, float factor) {
  for (int64_t c = 0; c < channels; c += W) {
    const int n = static_cast<int>(channels - c < W ? channels - c : W);
    const vf v = load(from + c) * factor;
    if (n == W) storeF(to + c, v);
    else storeFirst(to + c, v, n);
  }
}

}  // namespace saqr::attention
