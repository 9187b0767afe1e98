// What goes before every attention kernel. The kernels themselves are modules of their own, so that a plan compiles only what it uses:
// simple.cu in f32 arithmetic, tensor*.cu for tensor cores (sm_80 and later), apart with and without a soft cap.
#include "problem.cuh"

// tiles[t]: what the masks of keys [64·t, 64·t + 64) have in common; a warp each. A key that nobody sees (until ≤ from) doesn't widen the range.
extern "C" __global__ void attention_tiles(Problem p) {
  int t = blockIdx.x;
  int low = 0x7fffffff, high = 0, latest = 0, soonest = 0x7fffffff;
  for (int i = threadIdx.x; i < kTile; i += 32) {
    int j = t * kTile + i;
    int from = j < p.keys ? p.from[j] : 0x7fffffff, until = j < p.keys ? p.until[j] : 0;
    if (from < until) low = min(low, from), high = max(high, until);
    latest = max(latest, from);
    soonest = min(soonest, until);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    low = min(low, __shfl_xor_sync(0xffffffffu, low, offset));
    high = max(high, __shfl_xor_sync(0xffffffffu, high, offset));
    latest = max(latest, __shfl_xor_sync(0xffffffffu, latest, offset));
    soonest = min(soonest, __shfl_xor_sync(0xffffffffu, soonest, offset));
  }
  if (threadIdx.x == 0) p.tiles[t] = make_int4(low, high, latest, soonest);
}

// delta (T, H) = Σ_c dO · o, a warp a head
template <class T> __device__ void deltas(const Problem& p) {
  long long t = blockIdx.x;
  int head = blockIdx.y * 4 + threadIdx.x / 32;
  if (head >= p.attrs.heads) return;
  const T* dO = static_cast<const T*>(p.dO) + t * p.dOStride + head * p.attrs.headDim;
  const T* o = static_cast<const T*>(p.o) + t * p.oStride + head * p.attrs.headDim;
  float sum = 0;
  for (int c = threadIdx.x % 32; c < p.attrs.headDim; c += 32) sum += toFloat(dO[c]) * toFloat(o[c]);
  sum = warpSum(sum);
  if (threadIdx.x % 32 == 0) p.delta[t * p.attrs.heads + head] = sum;
}
extern "C" __global__ void attention_delta_f32(Problem p) { deltas<float>(p); }
extern "C" __global__ void attention_delta_bf16(Problem p) { deltas<bf16>(p); }
