// What goes before every attention kernel. The kernels themselves are modules of their own, so that a plan compiles only what it uses:
// simple.cu in f32 arithmetic, tensor*.cu for tensor cores (sm_80 and later), hopper*.cu for Hopper's; each apart with and without a soft cap.
#include "mask.cuh"

// What the masks of keys [64·t, 64·t + 64) have in common; a warp each. A key that nobody sees (until ≤ from) doesn't widen the range.
extern "C" __global__ void attention_tiles(Problem p) {
  int t = blockIdx.x;
  Tile tile = {0x7fffffff, 0, 0, 0x7fffffff, 0x7fffffff, 0};
  for (int i = threadIdx.x; i < kTile; i += 32) {
    int j = t * kTile + i;
    Key key = keyOf(p, j);
    if (key.from < key.until) tile.low = min(tile.low, key.from), tile.high = max(tile.high, key.until);
    tile.latest = max(tile.latest, key.from), tile.soonest = min(tile.soonest, key.until);
    if (j < p.keys) tile.shallow = min(tile.shallow, key.depth), tile.deep = max(tile.deep, key.depth);
    p.masks[j] = make_int4(key.from, key.until, key.depth, 0);
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    tile.low = min(tile.low, __shfl_xor_sync(0xffffffffu, tile.low, offset));
    tile.high = max(tile.high, __shfl_xor_sync(0xffffffffu, tile.high, offset));
    tile.latest = max(tile.latest, __shfl_xor_sync(0xffffffffu, tile.latest, offset));
    tile.soonest = min(tile.soonest, __shfl_xor_sync(0xffffffffu, tile.soonest, offset));
    tile.shallow = min(tile.shallow, __shfl_xor_sync(0xffffffffu, tile.shallow, offset));
    tile.deep = max(tile.deep, __shfl_xor_sync(0xffffffffu, tile.deep, offset));
  }
  if (threadIdx.x == 0) p.tiles[t] = tile;
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
