// What goes before the tensor cores' kernels (sm_80 and later): the tiles of the mask, blocks in the order of their work, Hopper's tensor
// maps; in backward, what each query's weights are worked out with.
#include "mask.cuh"
#include "pieces.cuh"
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "copies.cuh"
#endif

constexpr int kMostBlocks = 2048;  // that are ordered; a pass of more has enough of each size anyway

// What the masks of keys [64·t, 64·t + 64) have in common, in every lane of a warp; `write`: also each key's mask. A key that nobody sees
// (until ≤ from) doesn't widen the range.
__device__ __forceinline__ Tile tileOf(const Problem& p, int t, bool write) {
  Tile tile = {0x7fffffff, 0, 0, 0x7fffffff, 0x7fffffff, 0};
#pragma unroll
  for (int i = 0; i < kTile; i += 32) {
    int j = t * kTile + i + threadIdx.x % 32;
    Key key = keyOf(p, j);
    if (key.from < key.until) tile.low = min(tile.low, key.from), tile.high = max(tile.high, key.until);
    tile.latest = max(tile.latest, key.from), tile.soonest = min(tile.soonest, key.until);
    if (j < p.keys) tile.shallow = min(tile.shallow, key.depth), tile.deep = max(tile.deep, key.depth);
    if (write) p.masks[j] = make_int4(key.from, key.until, key.depth, 0);
  }
  tile.low = __reduce_min_sync(0xffffffffu, tile.low), tile.high = __reduce_max_sync(0xffffffffu, tile.high);
  tile.latest = __reduce_max_sync(0xffffffffu, tile.latest), tile.soonest = __reduce_min_sync(0xffffffffu, tile.soonest);
  tile.shallow = __reduce_min_sync(0xffffffffu, tile.shallow), tile.deep = __reduce_max_sync(0xffffffffu, tile.deep);
  return tile;
}

// Block 0 writes the tiles and the order of query blocks, block 1 (in backward) the order of blocks of keys and their pieces, the longest first; the last
// block makes the maps of Hopper's kernels.
extern "C" __global__ void __launch_bounds__(1024) attention_prepare(const __grid_constant__ Problem p) {
  int warp = threadIdx.x / 32;
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  __shared__ __align__(128) unsigned maps[4][32];
  if (blockIdx.x == gridDim.x - 1) {
    const void* x[] = {p.q, p.k, p.v, p.dO};
    const int stride[] = {p.qStride, p.kStride, p.vStride, p.dOStride};
#pragma unroll
    for (int m = 0; m < 4; m++) {
      bool ofQueries = m == 0 || m == 3;
      if (warp == m && x[m]) makeMap(p.maps[m], maps[m], x[m], stride[m], ofQueries ? p.queries : p.keys, ofQueries ? p.attrs.heads : p.attrs.kvHeads, m < 2 ? p.attrs.headDim : p.attrs.valueDim);
    }
    return;
  }
#endif
  __shared__ int low[kMostBlocks], high[kMostBlocks], work[kMostBlocks], ranked[kMostBlocks], total;
  __shared__ int2 cut;
  bool byQuery = blockIdx.x == 0;
  int queryBlocks = (p.queries + kBlock - 1) / kBlock, keyBlocks = (p.keys + kBlock - 1) / kBlock;
  int own = byQuery ? queryBlocks : keyBlocks;
  int* order = byQuery ? p.queryOrder : p.keyOrder;
  if (byQuery && threadIdx.x < 2) p.queues[threadIdx.x] = 0;
  if (!byQuery) {
    for (int i = threadIdx.x; i < p.slots * p.attrs.kvHeads * 16; i += blockDim.x) p.arrivals[i] = 0;
  }
  if (threadIdx.x == 0) total = 0, cut = {0, 0};
#pragma unroll 4
  for (int i = warp; i < keyBlocks; i += 32) {
    Tile left = tileOf(p, 2 * i, byQuery), right = tileOf(p, 2 * i + 1, byQuery);
    if (threadIdx.x % 32) continue;
    if (byQuery) p.tiles[2 * i] = left, p.tiles[2 * i + 1] = right;
    if (i < kMostBlocks) low[i] = min(left.low, right.low), high[i] = max(left.high, right.high);
  }
  if (keyBlocks > kMostBlocks) {
    for (int i = threadIdx.x; i < own; i += blockDim.x) {
      order[i] = byQuery ? own - 1 - i : i;
      if (!byQuery) p.keyPieces[i] = {i, 0, 1, 0};
    }
    if (!byQuery && threadIdx.x == 0) p.queues[2] = own;
    return;
  }
  __syncthreads();
  // Blocks of the other side that it meets. Within a window all but the first few of a row meet as many.
  int most = p.attrs.window ? p.attrs.window / kBlock + 2 : 0x7fffffff;
  for (int i = threadIdx.x; i < own; i += blockDim.x) {
    int meets = 0;
    if (byQuery) {
      for (int j = 0; j < keyBlocks; j++) meets += low[j] < (i + 1) * kBlock && high[j] > i * kBlock;
    } else if (low[i] < high[i]) {
      meets = (high[i] + kBlock - 1) / kBlock - low[i] / kBlock;
    }
    work[i] = min(meets, most);
    atomicAdd(&total, work[i]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < own; i += blockDim.x) {
    int rank = 0;
    for (int j = 0; j < own; j++) rank += work[j] > work[i] || (work[j] == work[i] && j < i);
    order[rank] = ranked[rank] = i;
  }
  if (byQuery) return;
  __syncthreads();
  int steps = p.attrs.heads / p.attrs.kvHeads * (kBlock / kTile);
  if (threadIdx.x == 0) {
    cut = cutBlocks(p, ranked, own, static_cast<long long>(total) * steps, [&](int block) { return work[block] * steps; });
    p.queues[2] = own - cut.x + cut.y;
  }
  __syncthreads();
  for (int i = cut.x + threadIdx.x; i < own; i += blockDim.x) p.keyPieces[i - cut.x + cut.y] = {ranked[i], 0, 1, 0};
}

// delta and lse2: sixteen tokens of a head a block, sixteen threads a token. Past the end lse2 is ∞, so that weights are 0.
extern "C" __global__ void __launch_bounds__(256) attention_statistics(const __grid_constant__ Problem p) {
  int head = blockIdx.y, t = blockIdx.x * 16 + threadIdx.x / 16, lane = threadIdx.x % 16;
  bool inside = t < p.queries;
  float sum = 0;
  if (inside) {
    const bf16* dO = static_cast<const bf16*>(p.dO) + static_cast<long long>(t) * p.dOStride + head * p.attrs.valueDim;
    const bf16* o = static_cast<const bf16*>(p.o) + static_cast<long long>(t) * p.oStride + head * p.attrs.valueDim;
    for (int c = lane * 8; c < p.attrs.valueDim; c += 128) {
      float a[8], b[8];
      load<bf16, 8>(dO + c, a);
      load<bf16, 8>(o + c, b);
#pragma unroll
      for (int i = 0; i < 8; i++) sum += a[i] * b[i];
    }
  }
#pragma unroll
  for (int offset = 8; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (lane == 0) {
    p.delta[statisticOf(p, head, t)] = sum;
    p.lse2[statisticOf(p, head, t)] = inside ? p.lse[static_cast<long long>(t) * p.lseStride + head] * kLog2e : __int_as_float(0x7f800000);
  }
}
