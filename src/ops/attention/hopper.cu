// What goes before Hopper's kernels: tensor maps, and blocks in the order of their work.
#include "mask.cuh"
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "copies.cuh"

constexpr int kBlock = 128;
constexpr int kMostBlocks = 8192;  // that are ordered; a pass of more has enough of each size anyway

// block 0: the maps; block 1: the order of query blocks; block 2: of blocks of keys; the one with the most to do first
extern "C" __global__ void __launch_bounds__(1024) attention_hopper_prepare(const __grid_constant__ Problem p) {
  __shared__ __align__(128) unsigned maps[4][32];
  __shared__ int work[kMostBlocks];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (blockIdx.x == 0) {
    const void* x[] = {p.q, p.k, p.v, p.dO};
    const int stride[] = {p.qStride, p.kStride, p.vStride, p.dOStride};
    bool ofQueries = warp == 0 || warp == 3;
#pragma unroll
    for (int m = 0; m < 4; m++) {
      if (warp == m && x[m]) makeMap(p.maps + 128 * m, maps[m], x[m], stride[m], ofQueries ? p.queries : p.keys, ofQueries ? p.attrs.heads : p.attrs.kvHeads, p.attrs.headDim);
    }
    return;
  }
  bool byQuery = blockIdx.x == 1;
  int start = p.queryStart ? *p.queryStart : 0;
  int queryBlocks = (p.queries + kBlock - 1) / kBlock, keyBlocks = (p.keys + kBlock - 1) / kBlock;
  int own = byQuery ? queryBlocks : keyBlocks, other = byQuery ? keyBlocks : queryBlocks;
  int* order = byQuery ? p.queryOrder : p.keyOrder;
  if (own > kMostBlocks) {
    for (int i = threadIdx.x; i < own; i += blockDim.x) order[i] = byQuery ? own - 1 - i : i;
    return;
  }
  for (int i = warp; i < own; i += blockDim.x / 32) {
    int seen = 0;
    for (int j = lane; j < other; j += 32) {
      int query = start + (byQuery ? i : j) * kBlock;
      seen += anySees(p, queriesOf(p, query, query + kBlock), tileAt(p, byQuery ? j : i, kBlock / kTile));
    }
    seen = __reduce_add_sync(0xffffffffu, seen);
    if (lane == 0) work[i] = seen;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < own; i += blockDim.x) {
    int rank = 0;
    for (int j = 0; j < own; j++) rank += work[j] > work[i] || (work[j] == work[i] && j < i);
    order[rank] = i;
  }
}

// delta and lse2 (H, padded): sixteen tokens of a head a block, sixteen threads a token. Past the end lse2 is ∞, so that weights are 0.
extern "C" __global__ void __launch_bounds__(256) attention_hopper_delta(const __grid_constant__ Problem p) {
  int head = blockIdx.y, t = blockIdx.x * 16 + threadIdx.x / 16, lane = threadIdx.x % 16, padded = gridDim.x * 16;
  bool inside = t < p.queries;
  float sum = 0;
  if (inside) {
    const bf16* dO = static_cast<const bf16*>(p.dO) + static_cast<long long>(t) * p.dOStride + head * p.attrs.headDim;
    const bf16* o = static_cast<const bf16*>(p.o) + static_cast<long long>(t) * p.oStride + head * p.attrs.headDim;
    for (int c = lane * 8; c < p.attrs.headDim; c += 128) {
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
    p.delta[static_cast<long long>(head) * padded + t] = sum;
    p.lse2[static_cast<long long>(head) * padded + t] = inside ? p.lse[static_cast<long long>(t) * p.lseStride + head] * kLog2e : __int_as_float(0x7f800000);
  }
}
#endif
