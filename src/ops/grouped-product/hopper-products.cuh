// What a warpgroup does with the steps of a tile: products of its 64 rows of w with the tile's tokens, and y's values out of the sums.
#pragma once
#include "hopper-tiles.cuh"

// Which thread of which warpgroup this is: asked of each tile anew, else everything that follows from it stays in registers.
struct Worker {
  int thread, group;
  __device__ __forceinline__ Worker() {
    unsigned i;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(i));
    thread = i % 128, group = i / 128;
  }
};

// how far a warpgroup is with the rings
template <bool NF4> struct Progress {
  Ring<kStages<NF4>> ring;
  Ring<kSlots> slots;  // of w that was codes
  int last = -1, lastSlot = 0;  // the stage and the slot whose products may not be done
  // the step's w, when it and its tokens are there
  __device__ __forceinline__ unsigned char* come(Shared<NF4>& s) const {
    await(&s.full[ring.stage], ring.parity);
    if constexpr (!NF4) return s.w[ring.stage];
    else {
      await(&s.coded.decoded[slots.stage], slots.parity);
      return s.w[slots.stage];
    }
  }
  // its products are begun, those of the step before are done
  __device__ __forceinline__ void advance(Shared<NF4>& s) {
    done(s);
    last = ring.stage, ring.advance();
    if (NF4) lastSlot = slots.stage, slots.advance();
  }
  __device__ __forceinline__ void done(Shared<NF4>& s) {
    if (last < 0) return;
    release(&s.empty[last]);
    if constexpr (NF4) release(&s.coded.free[lastSlot]);
    last = -1;
  }
};

template <int N, bool TRANS, bool NF4> __device__ __forceinline__ void multiplyOnce(float (&c)[N / 2], unsigned long long w, unsigned long long x) {
  if constexpr (NF4 && N >= 256) multiplyHalves<TRANS>(c, w, x);
  else multiplyPanel<TRANS>(c, w, x);
}

// A part. What is issued and waited for has no branches: else the compiler waits for more.
template <int N, bool TRANS, bool NF4> __device__ __forceinline__ void multiplyPart(float (&c)[N / 2], Shared<NF4>& s, Progress<NF4>& at, const Worker& worker, int depth) {
  auto operands = [&](unsigned long long& w, unsigned long long& x) {
    w = operand(sharedAddress(at.come(s) + worker.group * kBox), TRANS ? kBox : 16);
    x = operand(sharedAddress(s.x[at.ring.stage]));
  };
  for (int k = kDepth; k <= depth; k += kDepth) {
    unsigned long long a, b;
    operands(a, b);
    beginProducts();
#pragma unroll
    for (int i = 0; i < 4; i++) multiplyOnce<N, TRANS, NF4>(c, a + i * kStep<TRANS>, b + i * kStep<false>);
    commitProducts();
    waitProducts<1>();
    at.advance(s);
  }
  int rest = depth % kDepth;
  if (rest == 0) return;
  unsigned long long a, b;
  operands(a, b);
#pragma unroll 1
  for (int i = 0; i * 16 < rest; i++) {
    beginProducts();
    multiplyOnce<N, TRANS, NF4>(c, a + i * kStep<TRANS>, b + i * kStep<false>);
    commitProducts();
    waitProducts<0>();
  }
  at.advance(s);
}

// y's columns that are the warpgroup's rows of w, 64 tokens at a time through a panel with a row a token
template <int N> __device__ __forceinline__ void writeTokens(const float (&c)[N / 2], unsigned char* panel, const Grouped& g, const Tile& t, const Worker& worker) {
  int thread = worker.thread, group = worker.group;
  int lane = thread % 32, column = t.column + group * 64;
  int token = lane / 16 * 8 + lane % 8, chunk = thread / 32 * 2 + lane / 8 % 2;
  unsigned to = sharedAddress(panel) + token * 128 + ((chunk ^ token & 7) << 4);
#pragma unroll
  for (int q = 0; q < N / 64; q++) {
    meet<128>(1 + group);  // what lay in the panel is written
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float* v = c + q * 32 + i * 8;
      storeMatricesTransposed(to + i * 16 * 128, pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
    }
    meet<128>(1 + group);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int r = i * 16 + thread / 8, at = column + thread % 8 * 8, row = t.row + q * 64 + r;
      if (row < t.end && at < g.n) *reinterpret_cast<uint4*>(g.y + static_cast<long long>(row) * g.yStride + at) = *reinterpret_cast<const uint4*>(panel + r * 128 + ((thread % 8 ^ r & 7) << 4));
    }
  }
}

template <int N, bool TRANS, bool NF4> __device__ __forceinline__ void multiplyTile(Shared<NF4>& s, const Grouped& g, const Tile& t, Progress<NF4>& at) {
  Worker worker;
  float c[N / 2] = {};
  for (int p = 0; p < g.parts; p++) multiplyPart<N, TRANS>(c, s, at, worker, g.k[p]);
  waitProducts<0>();
  settle(c);
  at.done(s);
#pragma unroll
  for (int j = 0; j < N / 2; j++) c[j] *= g.alpha;
  writeTokens<N>(c, s.out[worker.group], g, t, worker);
}

template <bool TRANS, bool NF4> __device__ __forceinline__ void consume(Shared<NF4>& s, const Grouped& g) {
  Follower tiles;
  Progress<NF4> at;
  for (Tile t = tiles.next(s, g); t.chunks; t = tiles.next(s, g)) {
    if (t.column + static_cast<int>(threadIdx.x) / 128 * 64 >= g.n) {  // no row of this warpgroup
      for (int p = 0; p < g.parts; p++) {
        for (int k = 0; k < g.k[p]; k += kDepth) {
          at.come(s);
          at.advance(s);
        }
      }
      at.done(s);
    } else if (NF4 && t.chunks == 5) {
      if constexpr (NF4) multiplyTile<320, TRANS>(s, g, t, at);
    } else if (t.chunks == 4) {
      multiplyTile<256, TRANS>(s, g, t, at);
    } else if (t.chunks == 3) {
      multiplyTile<192, TRANS>(s, g, t, at);
    } else if (t.chunks == 2) {
      multiplyTile<128, TRANS>(s, g, t, at);
    } else {
      multiplyTile<64, TRANS>(s, g, t, at);
    }
  }
}
