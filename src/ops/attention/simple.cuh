// Attention in f32 arithmetic for every head size up to 512: f32 models, and bf16 ones with heads that the tensor-core kernels don't take.
// A block of threads works on N rows (queries, or keys for dK and dV) and walks over N columns at a time; THREADS / N threads share a row.
#pragma once
#include "mask.cuh"

template <int DMAX> struct Tiling {
  static constexpr int N = DMAX > 256 ? 8 : DMAX > 128 ? 16 : 32;
  static constexpr int THREADS = DMAX > 256 ? 64 : 256;
  static constexpr int PER_ROW = THREADS / N;      // threads of a row, neighbours in a warp
  static constexpr int SCORES = N / PER_ROW;       // scores a thread works out
  static constexpr int CHANNELS = DMAX / PER_ROW;  // channels of the row a thread accumulates
  static constexpr int PITCH = DMAX + 1;
};

template <int DMAX, class T>
__device__ __forceinline__ void loadRows(float* to, const void* x, int stride, int first, int rows, int headDim, int column) {
  using G = Tiling<DMAX>;
  const T* from = static_cast<const T*>(x) + column;
#pragma unroll 1
  for (int i = threadIdx.x; i < G::N * headDim; i += G::THREADS) {
    int r = i / headDim, c = i % headDim;
    to[r * G::PITCH + c] = first + r < rows ? toFloat(from[static_cast<long long>(first + r) * stride + c]) : 0.0f;
  }
}
// what the softmax sees of q·k, and its derivative by scale · q·k where it is `score`
__device__ __forceinline__ float scoreOf(const Problem& p, float product) {
  float s = p.attrs.scale * product;
  return p.attrs.softCap > 0 ? p.attrs.softCap * tanhf(s / p.attrs.softCap) : s;
}
__device__ __forceinline__ float slopeOf(const Problem& p, float score) {
  float t = p.attrs.softCap > 0 ? score / p.attrs.softCap : 0.0f;
  return 1.0f - t * t;
}
__device__ __forceinline__ float dotRows(const float* a, const float* b, int n) {
  float sum = 0;
#pragma unroll 4
  for (int c = 0; c < n; c++) sum += a[c] * b[c];
  return sum;
}
template <int WIDTH> __device__ __forceinline__ float rowSum(float x) {
#pragma unroll
  for (int offset = WIDTH / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
  return x;
}
template <int WIDTH> __device__ __forceinline__ float rowMax(float x) {
#pragma unroll
  for (int offset = WIDTH / 2; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  return x;
}
// acc[c] += Σ_j weights[j] · rows[j][c] for this thread's channels
template <int DMAX> __device__ __forceinline__ void accumulate(float (&acc)[Tiling<DMAX>::CHANNELS], const float* weights, const float* rows, int lane, int headDim) {
  using G = Tiling<DMAX>;
#pragma unroll 2
  for (int j = 0; j < G::N; j++) {
    float w = weights[j];
#pragma unroll
    for (int i = 0; i < G::CHANNELS; i++) {
      int c = lane + i * G::PER_ROW;
      if (c < headDim) acc[i] += w * rows[j * G::PITCH + c];
    }
  }
}
template <int DMAX, class T>
__device__ __forceinline__ void storeRow(void* to, int stride, int row, int rows, int headDim, int column, const float (&acc)[Tiling<DMAX>::CHANNELS], int lane, float factor) {
  using G = Tiling<DMAX>;
  if (row >= rows) return;
  T* out = static_cast<T*>(to) + static_cast<long long>(row) * stride + column;
#pragma unroll
  for (int i = 0; i < G::CHANNELS; i++) {
    int c = lane + i * G::PER_ROW;
    if (c < headDim) out[c] = fromFloat<T>(acc[i] * factor);
  }
}

// grid: (query tiles, heads)
template <int DMAX, class T> __device__ void simpleForward(const Problem& p) {
  using G = Tiling<DMAX>;
  extern __shared__ float memory[];
  float *qs = memory, *kv = qs + G::N * G::PITCH, *ps = kv + G::N * G::PITCH;  // ps (N, N + 1)
  int row = threadIdx.x / G::PER_ROW, lane = threadIdx.x % G::PER_ROW;
  int head = blockIdx.y, group = head / (p.attrs.heads / p.attrs.kvHeads), d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = blockIdx.x * G::N, query = first + row;
  int queryDepth = depthOf(p, query);
  loadRows<DMAX, T>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  Begin begin = beginOf(p, head);
  float acc[G::CHANNELS] = {}, top = begin.top * p.attrs.scale, total = begin.total;
  float* weights = ps + row * (G::N + 1);
  for (int j0 = 0; j0 < p.keys; j0 += G::N) {
    bool visible[G::SCORES], any = false;
#pragma unroll
    for (int s = 0; s < G::SCORES; s++) any |= visible[s] = sees(p, query, queryDepth, keyOf(p, j0 + lane + s * G::PER_ROW));
    if (!__syncthreads_or(any)) continue;
    loadRows<DMAX, T>(kv, p.k, p.kStride, j0, p.keys, d, group * d);
    __syncthreads();
    float score[G::SCORES], best = top;
#pragma unroll
    for (int s = 0; s < G::SCORES; s++) {
      score[s] = visible[s] ? scoreOf(p, dotRows(qs + row * G::PITCH, kv + (lane + s * G::PER_ROW) * G::PITCH, d)) : negativeInfinity();
      best = fmaxf(best, score[s]);
    }
    best = rowMax<G::PER_ROW>(best);
    float old = top == negativeInfinity() ? 0.0f : expf(top - best), sum = 0;
#pragma unroll
    for (int s = 0; s < G::SCORES; s++) {
      float w = visible[s] ? expf(score[s] - best) : 0.0f;
      weights[lane + s * G::PER_ROW] = w;
      sum += w;
    }
    total = total * old + rowSum<G::PER_ROW>(sum);
    top = best;
#pragma unroll
    for (int i = 0; i < G::CHANNELS; i++) acc[i] *= old;
    __syncthreads();
    loadRows<DMAX, T>(kv, p.v, p.vStride, j0, p.keys, v, group * v);
    __syncthreads();
    accumulate<DMAX>(acc, weights, kv, lane, v);
  }
  storeRow<DMAX, T>(p.o, p.oStride, first + row, p.queries, v, head * v, acc, lane, total > 0 ? 1.0f / total : 0.0f);
  if (lane == 0 && first + row < p.queries) {
    p.lse[static_cast<long long>(first + row) * p.lseStride + head] = total > 0 ? top + logf(total) : negativeInfinity();
  }
}

// grid: (query tiles, heads)
template <int DMAX, class T> __device__ void simpleQueryGrad(const Problem& p) {
  using G = Tiling<DMAX>;
  extern __shared__ float memory[];
  constexpr int SIZE = G::N * G::PITCH;
  float *qs = memory, *os = qs + SIZE, *ks = os + SIZE, *vs = ks + SIZE, *ds = vs + SIZE;
  int row = threadIdx.x / G::PER_ROW, lane = threadIdx.x % G::PER_ROW;
  int head = blockIdx.y, group = head / (p.attrs.heads / p.attrs.kvHeads), d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = blockIdx.x * G::N, query = first + row;
  bool inside = query < p.queries;
  int queryDepth = depthOf(p, query);
  float lse = inside ? p.lse[static_cast<long long>(query) * p.lseStride + head] : 0;
  float delta = inside ? p.delta[static_cast<long long>(query) * p.attrs.heads + head] : 0;
  loadRows<DMAX, T>(qs, p.q, p.qStride, first, p.queries, d, head * d);
  loadRows<DMAX, T>(os, p.dO, p.dOStride, first, p.queries, v, head * v);
  float acc[G::CHANNELS] = {};
  float* weights = ds + row * (G::N + 1);
  for (int j0 = 0; j0 < p.keys; j0 += G::N) {
    bool visible[G::SCORES], any = false;
#pragma unroll
    for (int s = 0; s < G::SCORES; s++) any |= visible[s] = inside && sees(p, query, queryDepth, keyOf(p, j0 + lane + s * G::PER_ROW));
    if (!__syncthreads_or(any)) continue;
    loadRows<DMAX, T>(ks, p.k, p.kStride, j0, p.keys, d, group * d);
    loadRows<DMAX, T>(vs, p.v, p.vStride, j0, p.keys, v, group * v);
    __syncthreads();
#pragma unroll
    for (int s = 0; s < G::SCORES; s++) {
      int j = lane + s * G::PER_ROW;
      float score = visible[s] ? scoreOf(p, dotRows(qs + row * G::PITCH, ks + j * G::PITCH, d)) : negativeInfinity();
      float w = visible[s] ? expf(score - lse) : 0.0f;
      weights[j] = visible[s] ? w * (dotRows(os + row * G::PITCH, vs + j * G::PITCH, v) - delta) * p.attrs.scale * slopeOf(p, score) : 0.0f;
    }
    __syncthreads();
    accumulate<DMAX>(acc, weights, ks, lane, d);
  }
  storeRow<DMAX, T>(p.dQ, p.dQStride, query, p.queries, d, head * d, acc, lane, 1.0f);
}

// grid: (key tiles, key heads); rows are keys, and the queries of all heads of the group pass by in order
template <int DMAX, class T> __device__ void simpleKeyGrad(const Problem& p) {
  using G = Tiling<DMAX>;
  extern __shared__ float memory[];
  constexpr int SIZE = G::N * G::PITCH;
  float *ks = memory, *vs = ks + SIZE, *qs = vs + SIZE, *os = qs + SIZE, *ps = os + SIZE, *ds = ps + G::N * (G::N + 1);
  int row = threadIdx.x / G::PER_ROW, lane = threadIdx.x % G::PER_ROW;
  int group = blockIdx.y, heads = p.attrs.heads / p.attrs.kvHeads, d = p.attrs.headDim, v = p.attrs.valueDim;
  int first = blockIdx.x * G::N;
  Key key = keyOf(p, first + row);
  loadRows<DMAX, T>(ks, p.k, p.kStride, first, p.keys, d, group * d);
  loadRows<DMAX, T>(vs, p.v, p.vStride, first, p.keys, v, group * v);
  float dK[G::CHANNELS] = {}, dV[G::CHANNELS] = {};
  for (int head = group * heads; head < (group + 1) * heads; head++) {
    for (int i0 = 0; i0 < p.queries; i0 += G::N) {
      bool visible[G::SCORES], any = false;
#pragma unroll
      for (int s = 0; s < G::SCORES; s++) {
        int query = i0 + lane + s * G::PER_ROW;
        any |= visible[s] = query < p.queries && sees(p, query, depthOf(p, query), key);
      }
      if (!__syncthreads_or(any)) continue;
      loadRows<DMAX, T>(qs, p.q, p.qStride, i0, p.queries, d, head * d);
      loadRows<DMAX, T>(os, p.dO, p.dOStride, i0, p.queries, v, head * v);
      __syncthreads();
#pragma unroll
      for (int s = 0; s < G::SCORES; s++) {
        int i = lane + s * G::PER_ROW;
        float w = 0, g = 0;
        if (visible[s]) {
          long long at = i0 + i;
          float score = scoreOf(p, dotRows(qs + i * G::PITCH, ks + row * G::PITCH, d));
          w = expf(score - p.lse[at * p.lseStride + head]);
          g = w * (dotRows(os + i * G::PITCH, vs + row * G::PITCH, v) - p.delta[at * p.attrs.heads + head]) * p.attrs.scale * slopeOf(p, score);
        }
        ps[row * (G::N + 1) + i] = w;
        ds[row * (G::N + 1) + i] = g;
      }
      __syncthreads();
      accumulate<DMAX>(dV, ps + row * (G::N + 1), os, lane, v);
      accumulate<DMAX>(dK, ds + row * (G::N + 1), qs, lane, d);
    }
  }
  storeRow<DMAX, T>(p.dK, p.dKStride, first + row, p.keys, d, group * d, dK, lane, 1.0f);
  storeRow<DMAX, T>(p.dV, p.dVStride, first + row, p.keys, v, group * v, dV, lane, 1.0f);
}
