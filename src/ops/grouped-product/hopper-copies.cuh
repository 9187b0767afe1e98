// The grouped products' operands on their way into the ring: tiles of x and w by the copy engine, and the scales of w's codes by two warps.
#pragma once
#include "hopper-tiles.cuh"

// by one thread
template <bool TRANS> __device__ __forceinline__ void copyTiles(Shared& s, const Maps& maps, const Grouped& g) {
  Taker taker;
  Ring<kStages> ring;
  for (Tile t = taker.take(s, g); t.chunks; t = taker.take(s, g)) {
    for (int p = 0; p < g.parts; p++) {
      bool coded = g.coded(p);
      int half = coded ? kCodes : kBox;
      for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
        Barrier* full = &s.full[ring.stage];
        unsigned char *x = s.x[ring.stage], *w = s.w[ring.stage];
        await(&s.empty[ring.stage], ring.parity ^ 1);
        arriveWith(full, t.chunks * kBox + 2 * half);
        for (int h = 0; h < 2; h++) {
          int at = t.column + h * 64, row = TRANS ? k : at, column = TRANS ? at : k;
          copyTileOf(w + h * half, maps.w[p], full, t.expert, row, coded ? column / 2 : column);
        }
        for (int c = 0; c < t.chunks; c++) copyTile(x + c * kBox, maps.x[p], full, t.row + c * 64, k);
      }
    }
  }
}

// The scales of two of a step's 128 runs of 64 codes, several steps at once: what is read of them, then what they are. Runs are counted in 32
// bits, and blocks are powers of two of them.
constexpr int kAhead = 4;
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

// by kScalers threads, `i` of them; every `full` hears of each warp
template <bool TRANS> __device__ __forceinline__ void bringScales(Shared& s, const Grouped& g, int i) {
  Follower tiles;
  Ring<kStages> ring;
  auto bring = [&](float first, float second) {
    await(&s.empty[ring.stage], ring.parity ^ 1);
    s.scales[ring.stage][0][i] = first, s.scales[ring.stage][1][i] = second;
    __syncwarp();
    if (i % 32 == 0) arrive(&s.full[ring.stage]);
    ring.advance();
  };
  for (Tile t = tiles.next(s); t.chunks; t = tiles.next(s)) {
    for (int p = 0; p < g.parts; p++) {
      int steps = g.steps(p);
      if (!g.coded(p)) {
        for (int j = 0; j < steps; j++) bring(0, 0);
        continue;
      }
      const Quant& quant = g.quant[p];
      Scales<TRANS> scales(g, p, t, i);
      scales.read(quant, 0);
      for (int first = 0; first < steps; first += kAhead) {
        float now[kAhead][2];
        scales.finish(quant, now);
        if (first + kAhead < steps) scales.read(quant, first + kAhead);
#pragma unroll
        for (int j = 0; j < kAhead; j++) {
          if (first + j < steps) bring(now[j][0], now[j][1]);
        }
      }
    }
  }
}
