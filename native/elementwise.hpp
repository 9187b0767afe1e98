// What memory-bound kernels share: element types as tags (bf16 and f16 are one C++ type), the cut of matrices into contiguous runs,
// loops over whole vectors and a rest, and sums whose order depends on the length alone.
#pragma once
#include <initializer_list>
#include "saqr.hpp"
#include "simd.hpp"

namespace saqr {

struct All {};  // all lanes of a vector; elsewhere an int says how many of the first

struct F32 {
  using T = float;
  static constexpr DType dtype = DType::f32;
  static SAQR_INLINE vf load(const T* p, All) { return saqr::load(p); }
  static SAQR_INLINE vf load(const T* p, int n) { return loadFirst(p, n); }
  static SAQR_INLINE void store(T* p, vf v, All) { saqr::store(p, v); }
  static SAQR_INLINE void store(T* p, vf v, int n) { storeFirst(p, v, n); }
  static SAQR_INLINE float value(T x) { return x; }
  static SAQR_INLINE T round(float x) { return x; }
};
struct BF16 {
  using T = bf16;
  static constexpr DType dtype = DType::bf16;
  static SAQR_INLINE vf load(const T* p, All) { return loadBf16(p); }
  static SAQR_INLINE vf load(const T* p, int n) { return loadFirst(p, n); }
  static SAQR_INLINE void store(T* p, vf v, All) { storeBf16(p, v); }
  static SAQR_INLINE void store(T* p, vf v, int n) { storeFirst(p, v, n); }
  static SAQR_INLINE float value(T x) { return toFloat(x); }
  static SAQR_INLINE T round(float x) { return toBf16(x); }
};
struct F16 {  // read only: weights of a checkpoint
  using T = f16;
  static constexpr DType dtype = DType::f16;
  static SAQR_INLINE vf load(const T* p, All) { return loadF16(p); }
  static SAQR_INLINE vf load(const T* p, int n) {
    T lanes[W] = {};
    for (int i = 0; i < n; i++) lanes[i] = p[i];
    return loadF16(lanes);
  }
  static SAQR_INLINE float value(T x) { return halfToFloat(x); }
};

// Calls f with the tag of `dtype`; false when it is none of Types.
template <class... Types, class F>
SAQR_INLINE bool withType(DType dtype, F f) {
  return ((dtype == Types::dtype && (f(Types{}), true)) || ...);
}

// absent tensors are of any type
inline bool sameType(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* t : tensors) {
    if (t->data && t->dtype != (*tensors.begin())->dtype) return false;
  }
  return true;
}

// of what kernels copy byte for byte; 0 for anything else
inline size_t elementBytes(DType type) {
  switch (type) {
    case DType::f32: case DType::i32: return 4;
    case DType::bf16: case DType::f16: return 2;
    default: return 0;
  }
}

template <class E>
SAQR_INLINE typename E::T* rowOf(const Tensor& t, int64_t row) {
  return static_cast<typename E::T*>(t.data) + row * t.stride;
}

// f(row, from, to) for this thread's share of a matrix: columns [from, to) of a row. Tensors (of one shape) that all lie dense are one long
// row, cut at whole vectors; else whole rows are shared out. So the vectors an element falls into don't depend on the thread count.
template <class F>
SAQR_INLINE void eachRun(const Worker& worker, std::initializer_list<const Tensor*> tensors, F f) {
  const int64_t rows = (*tensors.begin())->rows, cols = (*tensors.begin())->cols;
  bool dense = true;
  for (const Tensor* t : tensors) dense = dense && (t->stride == cols || rows == 1);
  const Range part = dense ? share(worker, rows * cols, 64) : share(worker, rows);
  if (dense && part.from < part.to) f(0, part.from, part.to);
  for (int64_t row = part.from; !dense && row < part.to; row++) f(row, 0, cols);
}

// f(i, lanes) for [from, to): whole vectors (All), then the rest (int).
template <class F>
SAQR_INLINE void vectors(int64_t from, int64_t to, F f) {
  int64_t i = from;
#pragma GCC unroll 2
  for (; i + W <= to; i += W) f(i, All{});
  if (i < to) f(i, static_cast<int>(to - i));
}

// Σ term(i, lanes) over [0, n), lanes past the end being 0: four chains and a tree, an order of n alone.
template <class F>
SAQR_INLINE float total(int64_t n, F term) {
  vf a{}, b{}, c{}, d{};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    a += term(i, All{});
    b += term(i + W, All{});
    c += term(i + 2 * W, All{});
    d += term(i + 3 * W, All{});
  }
  for (; i + W <= n; i += W) a += term(i, All{});
  if (i < n) b += term(i, static_cast<int>(n - i));
  return sum((a + b) + (c + d));
}

// Memory that all threads of a step see: the first one's scratch (the pool keeps its workers in one array). Barriers order its use.
SAQR_INLINE char* sharedScratch(Worker& worker) { return (&worker - worker.id)->scratch; }

// out (size) += Σ of `rows` rows, where addRow(row, sums) adds one row's terms to sums (size). Blocks of rows are summed apart, then the
// blocks in order; both are cut by the shape alone, so the bits don't depend on the number of threads. size · 4 ≤ kScratchBytes.
template <class F>
SAQR_INLINE void addRows(Worker& worker, float* out, int64_t rows, int64_t size, F addRow) {
  const int64_t room = static_cast<int64_t>(kScratchBytes / sizeof(float)) / size, least = (rows + room - 1) / room;
  const int64_t height = least > 32 ? least : 32, blocks = (rows + height - 1) / height;
  float* sums = reinterpret_cast<float*>(sharedScratch(worker));
  const Range part = share(worker, blocks);
  for (int64_t b = part.from; b < part.to; b++) {
    float* block = sums + b * size;
    memset(block, 0, size * sizeof(float));
    for (int64_t row = b * height; row < rows && row < (b + 1) * height; row++) addRow(row, block);
  }
  worker.barrier();
  const Range columns = share(worker, size, 16);
  vectors(columns.from, columns.to, [&](int64_t i, auto n) {
    vf sum{};
    for (int64_t b = 0; b < blocks; b++) sum += F32::load(sums + b * size + i, n);
    F32::store(out + i, F32::load(out + i, n) + sum, n);
  });
}

}  // namespace saqr
