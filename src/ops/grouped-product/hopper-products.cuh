// What a warpgroup does with the steps of a tile: products of its 64 rows of w with the tile's tokens, and y's values out of the sums.
#pragma once
#include "hopper-fragments.cuh"

// Which thread of which warpgroup this is: asked of each tile anew, else everything that follows from it stays in registers.
struct Worker {
  int thread, group;
  __device__ __forceinline__ Worker() {
    unsigned i;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(i));
    thread = i % 128, group = i / 128;
  }
};

// how far a warpgroup is with the ring
struct Progress {
  Ring<kStages> ring;
  int last = -1;  // the stage whose products may not be done
  __device__ __forceinline__ void done(Shared& s) {
    if (last >= 0) release(&s.empty[last]);
    last = -1;
  }
};

template <int C> __device__ __forceinline__ void settle(Fragment (&f)[C]) {
#pragma unroll
  for (int i = 0; i < C; i++) asm volatile("" : "+r"(f[i][0]), "+r"(f[i][1]), "+r"(f[i][2]), "+r"(f[i][3])::"memory");
}

// A part in codes: those of half a step are decoded while the products of the half before run, whose fragments are others.
template <int N, bool TRANS> __device__ __forceinline__ void multiplyCodes(float (&c)[N / 2], Shared& s, Progress& at, const Worker& worker, int steps, const float* codebook) {
  int thread = worker.thread, group = worker.group;
  float mine = codebook[thread % 16];
  Fragment first[2] = {}, second[2] = {};
  auto half = [&](Fragment (&now)[2], Fragment (&before)[2], int i) {
    int stage = at.ring.stage;
    if (TRANS) decodeColumns(now, s.w[stage] + group * kCodes, s.scales[stage][group], mine, i, thread);
    else decodeRows(now, s.w[stage] + group * kCodes, s.scales[stage][group], mine, i, thread);
    unsigned long long x = operand(sharedAddress(s.x[stage])) + 2 * i * kStep<false>;
    beginProducts();
    multiplyFragment(c, now[0], x);
    multiplyFragment(c, now[1], x + kStep<false>);
    commitProducts();
    waitProducts<1>();
    settle(before);
  };
#pragma unroll 1
  for (int j = 0; j < steps; j++) {
    await(&s.full[at.ring.stage], at.ring.parity);
    half(first, second, 0);
    at.done(s);
    half(second, first, 1);
    at.last = at.ring.stage, at.ring.advance();
  }
  waitProducts<0>();
  settle(second);
  at.done(s);
}

// A part in bf16 beside one in codes, which is small.
template <int N, bool TRANS> __device__ __forceinline__ void multiplyLoaded(float (&c)[N / 2], Shared& s, Progress& at, const Worker& worker, int depth) {
  int thread = worker.thread, group = worker.group;
  for (int k = 0; k < depth; k += kDepth, at.ring.advance()) {
    int stage = at.ring.stage;
    await(&s.full[stage], at.ring.parity);
    unsigned long long x = operand(sharedAddress(s.x[stage]));
#pragma unroll 1
    for (int i = 0; i < 4 && k + i * 16 < depth; i++) {
      Fragment f;
      loadFragment<TRANS>(f, s.w[stage] + group * kBox, i * 16, thread);
      beginProducts();
      multiplyFragment(c, f, x + i * kStep<false>);
      commitProducts();
      waitProducts<0>();
    }
    release(&s.empty[stage]);
  }
}

// A part in bf16, w from shared memory. What is issued and waited for has no branches: else the compiler waits for more.
template <int N, bool TRANS> __device__ __forceinline__ void multiplyPanels(float (&c)[N / 2], Shared& s, Progress& at, const Worker& worker, int depth) {
  int group = worker.group;
  auto w = [&] { return operand(sharedAddress(s.w[at.ring.stage] + group * kBox), TRANS ? kBox : 16); };
  auto x = [&] { return operand(sharedAddress(s.x[at.ring.stage])); };
  auto go = [&] {
    at.done(s);
    at.last = at.ring.stage, at.ring.advance();
  };
  for (int k = kDepth; k <= depth; k += kDepth) {
    await(&s.full[at.ring.stage], at.ring.parity);
    unsigned long long a = w(), b = x();
    beginProducts();
#pragma unroll
    for (int i = 0; i < 4; i++) multiplyPanel<TRANS>(c, a + i * kStep<TRANS>, b + i * kStep<false>);
    commitProducts();
    waitProducts<1>();
    go();
  }
  int rest = depth % kDepth;
  if (rest == 0) return;
  await(&s.full[at.ring.stage], at.ring.parity);
  unsigned long long a = w(), b = x();
#pragma unroll 1
  for (int i = 0; i * 16 < rest; i++) {
    beginProducts();
    multiplyPanel<TRANS>(c, a + i * kStep<TRANS>, b + i * kStep<false>);
    commitProducts();
    waitProducts<0>();
  }
  go();
}

// Eight columns of y, from 8 · `chunk` of the panel's on, of a token. PERMUTED: rows of the sums were columns as columnOfRow has them.
template <bool PERMUTED> __device__ __forceinline__ uint4 columnsOf(const unsigned char* panel, int token, int chunk) {
  const unsigned char* row = panel + token * 128;
  if constexpr (PERMUTED) {
    unsigned pair[4];  // two neighbouring rows of the first eight and of the last of one warp, and of the next warp
#pragma unroll
    for (int i = 0; i < 4; i++) pair[i] = *reinterpret_cast<const unsigned*>(row + ((chunk / 4 * 4 + i ^ token & 7) << 4) + chunk % 4 * 4);
    return {__byte_perm(pair[0], pair[1], 0x5410), __byte_perm(pair[2], pair[3], 0x5410), __byte_perm(pair[0], pair[1], 0x7632), __byte_perm(pair[2], pair[3], 0x7632)};
  } else {
    return *reinterpret_cast<const uint4*>(row + ((chunk ^ token & 7) << 4));
  }
}

// y's columns that are the warpgroup's rows of w, 64 tokens at a time through a panel with a row a token
template <int N, bool PERMUTED> __device__ __forceinline__ void writeTokens(const float (&c)[N / 2], unsigned char* panel, const Grouped& g, const Tile& t, const Worker& worker) {
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
      if (row < t.end && at < g.n) *reinterpret_cast<uint4*>(g.y + static_cast<long long>(row) * g.yStride + at) = columnsOf<PERMUTED>(panel, r, thread % 8);
    }
  }
}

template <int N, bool TRANS, bool NF4> __device__ __forceinline__ void multiplyTile(Shared& s, const Grouped& g, const Tile& t, Progress& at) {
  Worker worker;
  float c[N / 2] = {};
  for (int p = 0; p < g.parts; p++) {
    if (!NF4) multiplyPanels<N, TRANS>(c, s, at, worker, g.k[p]);
    else if (g.coded(p)) multiplyCodes<N, TRANS>(c, s, at, worker, g.steps(p), s.codebooks[p]);
    else multiplyLoaded<N, TRANS>(c, s, at, worker, g.k[p]);
  }
  waitProducts<0>();
  settle(c);
  at.done(s);
#pragma unroll
  for (int j = 0; j < N / 2; j++) c[j] *= g.alpha;
  writeTokens<N, NF4 && TRANS>(c, s.out[worker.group], g, t, worker);
}

template <bool TRANS, bool NF4> __device__ __forceinline__ void consume(Shared& s, const Grouped& g) {
  Follower tiles;
  Progress at;
  for (Tile t = tiles.next(s); t.chunks; t = tiles.next(s)) {
    if (t.column + static_cast<int>(threadIdx.x) / 128 * 64 >= g.n) {  // no row of this warpgroup
      for (int p = 0; p < g.parts; p++) {
        for (int k = 0; k < g.k[p]; k += kDepth, at.ring.advance()) {
          await(&s.full[at.ring.stage], at.ring.parity);
          release(&s.empty[at.ring.stage]);
        }
      }
    } else if (t.chunks == 4) {
      multiplyTile<256, TRANS, NF4>(s, g, t, at);
    } else if (t.chunks == 3) {
      multiplyTile<192, TRANS, NF4>(s, g, t, at);
    } else if (t.chunks == 2) {
      multiplyTile<128, TRANS, NF4>(s, g, t, at);
    } else {
      multiplyTile<64, TRANS, NF4>(s, g, t, at);
    }
  }
}
