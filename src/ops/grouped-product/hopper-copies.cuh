// The grouped products' operands on their way into the rings by the copy engine: tiles of x, and of w in bf16 or its codes.
#pragma once
#include "hopper-tiles.cuh"

// 128 rows of w, or their codes, from the `k`th of the sum on; by one thread
template <bool TRANS> __device__ __forceinline__ void copyWeights(unsigned char* to, const Map& map, Barrier* full, const Tile& t, int k, bool coded) {
  for (int h = 0; h < 2; h++) {
    int at = t.column + h * 64, row = TRANS ? k : at, column = TRANS ? at : k;
    copyTileOf(to + h * (coded ? kCodes : kBox), map, full, t.expert, row, coded ? column / 2 : column);
  }
}

// By a warp: x, and w beside it where none is in codes. Who copies codes takes the tiles, since those are needed first; else this warp does.
template <bool TRANS, bool NF4, class Tiles> __device__ __forceinline__ void copyTokens(Shared<NF4>& s, const Maps& maps, const Grouped& g, Tiles tiles) {
  Ring<kStages<NF4>> ring;
  for (Tile t = tiles.next(s, g); t.chunks; t = tiles.next(s, g)) {
    for (int p = 0; p < g.parts; p++) {
      for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
        Barrier* full = &s.full[ring.stage];
        await(&s.empty[ring.stage], ring.parity ^ 1);
        if (threadIdx.x % 32 == 0) {
          arriveWith(full, t.chunks * kBox + (NF4 ? 0 : 2 * kBox));
          if constexpr (!NF4) copyWeights<TRANS>(s.w[ring.stage], maps.w[p], full, t, k, false);
          for (int c = 0; c < t.chunks; c++) copyTile(s.x[ring.stage] + c * kBox, maps.x[p], full, t.row + c * 64, k);
        }
        __syncwarp();
      }
    }
  }
}

// a weight's codes, by a warp
template <bool TRANS> __device__ __forceinline__ void copyCodes(Shared<true>& s, const Maps& maps, const Grouped& g) {
  Taker tiles;
  Ring<kCodeStages> ring;
  for (Tile t = tiles.next(s, g); t.chunks; t = tiles.next(s, g)) {
    for (int p = 0; p < g.parts; p++) {
      if (!g.coded(p)) continue;
      for (int k = 0; k < g.k[p]; k += kDepth, ring.advance()) {
        Barrier* full = &s.coded.full[ring.stage];
        await(&s.coded.empty[ring.stage], ring.parity ^ 1);
        if (threadIdx.x % 32 == 0) {
          arriveWith(full, 2 * kCodes);
          copyWeights<TRANS>(s.coded.codes[ring.stage], maps.w[p], full, t, k, true);
        }
        __syncwarp();
      }
    }
  }
}
