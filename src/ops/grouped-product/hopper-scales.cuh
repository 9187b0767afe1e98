// The scales of a weight's codes on their way into the ring that the codes are in.
#pragma once
#include "hopper-copies.cuh"

// The scales of two of a step's 128 runs of 64 codes, several steps at once: what is read of them, then what they are. Runs are counted in 32
// bits, and blocks are powers of two of them.
constexpr int kAhead = 2;
template <bool TRANS> struct Scales {
  // of each half: its run in step 0, and how many steps have one
  unsigned from[2], pitch;  // from a step's run to the next's
  int steps[2], shift, shift2;
  float value[kAhead][2];
  unsigned char code[kAhead][2];
  // Run i of half h is row i of its 64 rows of w, `trans`: of its panel of 64 columns.
  __device__ __forceinline__ Scales(const Grouped& g, int part, const Tile& t, int i) {
    int depth = g.k[part];
    shift = 31 - __clz(g.quant[part].blocksize / 64), shift2 = 31 - __clz(g.quant[part].blocksize2);
    pitch = TRANS ? g.n : 1;
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int at = t.column + h * 64;
      from[h] = TRANS ? (static_cast<unsigned>(t.expert) * depth + i) * (g.n / 64) + at / 64 : (static_cast<unsigned>(t.expert) * g.n + at + i) * (depth / 64);
      steps[h] = TRANS ? (at < g.n ? (depth - i + kDepth - 1) / kDepth : 0) : (at + i < g.n ? depth / kDepth : 0);
    }
  }
  __device__ __forceinline__ void read(const Quant& quant, int first) {
#pragma unroll
    for (int j = 0; j < kAhead; j++) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        value[j][h] = 0, code[j][h] = 0;
        if (first + j >= steps[h]) continue;
        unsigned block = from[h] + (first + j) * pitch >> shift;
        if (quant.absmax) value[j][h] = quant.absmax[block];
        else code[j][h] = quant.absmax8[block], value[j][h] = quant.absmax2[block >> shift2];
      }
    }
  }
  // as Quant::scale has it; of runs that there are not, any number
  __device__ __forceinline__ void finish(const Quant& quant, float (&scale)[kAhead][2]) const {
#pragma unroll
    for (int j = 0; j < kAhead; j++) {
#pragma unroll
      for (int h = 0; h < 2; h++) scale[j][h] = quant.absmax ? value[j][h] : __fadd_rn(__fmul_rn(quant.code2[code[j][h]], value[j][h]), quant.offset);
    }
  }
};

// by kScalers threads, `i` of them; a `full` hears of each warp
template <bool TRANS> __device__ __forceinline__ void bringScales(Shared<true>& s, const Grouped& g, int i) {
  Coded<true>& of = s.coded;
  Follower tiles;
  Ring<kCodeStages> ring;
  for (Tile t = tiles.next(s, g); t.chunks; t = tiles.next(s, g)) {
    for (int p = 0; p < g.parts; p++) {
      if (!g.coded(p)) continue;
      int steps = g.steps(p);
      const Quant& quant = g.quant[p];
      Scales<TRANS> scales(g, p, t, i);
      scales.read(quant, 0);
      for (int first = 0; first < steps; first += kAhead) {
        float now[kAhead][2];
        scales.finish(quant, now);
        if (first + kAhead < steps) scales.read(quant, first + kAhead);
#pragma unroll
        for (int j = 0; j < kAhead; j++) {
          if (first + j >= steps) continue;
          await(&of.empty[ring.stage], ring.parity ^ 1);
          of.scales[ring.stage][i] = now[j][0], of.scales[ring.stage][64 + i] = now[j][1];
          release(&of.full[ring.stage]);
          ring.advance();
        }
      }
    }
  }
}
