// A weight's codes become bf16 in shared memory, where the products read it, by a warpgroup that runs ahead of those that multiply. It finds values
// by bytes, which takes no turn of shared memory's.
#pragma once
#include "hopper-scales.cuh"

__device__ __forceinline__ unsigned permute(unsigned a, unsigned b, unsigned selector) {
  unsigned to;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(to) : "r"(a), "r"(b), "r"(selector));
  return to;
}

// The sixteen values of a run of codes, which have one scale, rounded to bf16 as the cast op does it: their lower and upper bytes.
struct Table {
  unsigned lower[4], upper[4];
  __device__ __forceinline__ Table(const float (&codebook)[16], float scale) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float* v = codebook + i * 4;
      unsigned a = pack(__fmul_rn(v[0], scale), __fmul_rn(v[1], scale)), b = pack(__fmul_rn(v[2], scale), __fmul_rn(v[3], scale));
      lower[i] = permute(a, b, 0x6420), upper[i] = permute(a, b, 0x7531);
    }
  }
  // Of each of four codes its byte of sixteen: where it is among eight, and in which eight.
  __device__ __forceinline__ static unsigned find(const unsigned (&bytes)[4], unsigned within, unsigned which) {
    return permute(permute(bytes[0], bytes[1], within), permute(bytes[2], bytes[3], within), which);
  }
  // eight codes' values; a byte's upper four bits are the first of its two
  __device__ __forceinline__ uint4 eight(unsigned codes) const {
    unsigned within = codes & 0x77777777, which = codes >> 1 & 0x44444444 | 0x32103210, to[4];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      unsigned low = find(lower, within >> 16 * i, which >> 16 * i), high = find(upper, within >> 16 * i, which >> 16 * i);
      to[2 * i] = permute(low, high, 0x4051), to[2 * i + 1] = permute(low, high, 0x6273);
    }
    return {to[0], to[1], to[2], to[3]};
  }
};

// a run of 64 codes, eight a word
struct Run {
  uint4 halves[2];
  __device__ __forceinline__ Run(const unsigned char* codes, int row) {
#pragma unroll
    for (int h = 0; h < 2; h++) halves[h] = *reinterpret_cast<const uint4*>(codes + row * 32 + ((h ^ row >> 2 & 1) << 4));
  }
  // as a row of a panel
  __device__ __forceinline__ void decode(unsigned char* panel, int row, const Table& table) const {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      unsigned words[4] = {halves[h].x, halves[h].y, halves[h].z, halves[h].w};
#pragma unroll
      for (int i = 0; i < 4; i++) *reinterpret_cast<uint4*>(panel + row * 128 + ((h * 4 + i ^ row & 7) << 4)) = table.eight(words[i]);
    }
  }
};

// A warpgroup's: how far it is with the codes and with w.
struct Decoder {
  Shared<true>& s;
  Ring<kCodeStages> ring;
  Ring<kSlots> slots;
  __device__ __forceinline__ explicit Decoder(Shared<true>& s) : s(s) {}
  // where w goes, when there is room for it
  __device__ __forceinline__ unsigned char* room() const {
    await(&s.coded.free[slots.stage], slots.parity ^ 1);
    return s.w[slots.stage];
  }
  __device__ __forceinline__ void decode(const float (&codebook)[16], int half, int row) {
    await(&s.coded.full[ring.stage], ring.parity);
    Run run(s.coded.codes[ring.stage] + half * kCodes, row);
    Table table(codebook, s.coded.scales[ring.stage][half * 64 + row]);
    run.decode(room() + half * kBox, row, table);
    publishShared();
    release(&s.coded.decoded[slots.stage]);
    release(&s.coded.empty[ring.stage]);
    ring.advance(), slots.advance();
  }
  // w in bf16
  template <bool TRANS> __device__ __forceinline__ void pass(const Map& map, const Tile& t, int step, bool first) {
    unsigned char* w = room();
    Barrier* decoded = &s.coded.decoded[slots.stage];
    if (first) {
      arriveWith(decoded, 2 * kBox);
      copyWeights<TRANS>(w, map, decoded, t, step * kDepth, false);
    } else if (threadIdx.x % 32 == 0) {
      arrive(decoded);
    }
    __syncwarp();
    slots.advance();
  }
};

// by 128 threads, `i` of them, each of which has a run of every step
template <bool TRANS> __device__ __forceinline__ void decodeWeights(Shared<true>& s, const Maps& maps, const Grouped& g, int i) {
  Decoder at(s);
  Follower tiles;
  int half = i / 64, row = i % 64;
  for (Tile t = tiles.next(s, g); t.chunks; t = tiles.next(s, g)) {
    for (int p = 0; p < g.parts; p++) {
      int steps = g.steps(p);
      if (!g.coded(p)) {
        for (int j = 0; j < steps; j++) at.pass<TRANS>(maps.w[p], t, j, i == 0);
        continue;
      }
      float codebook[16];
#pragma unroll
      for (int c = 0; c < 16; c++) codebook[c] = s.coded.codebooks[p][c];
#pragma unroll 1
      for (int j = 0; j < steps; j++) at.decode(codebook, half, row);
    }
  }
}
