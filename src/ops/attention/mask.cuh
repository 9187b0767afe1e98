// Who sees whom: a query and a key, and whole tiles of them.
#pragma once
#include "problem.cuh"

// A token's side of the mask. A key past the end is seen by nobody.
struct Key {
  int from, until, depth;
};
__device__ __forceinline__ Key keyOf(const Problem& p, int j) {
  if (j >= p.keys) return {0x7fffffff, 0, 0};
  return {p.from[j], p.until[j], p.attrs.window ? p.depth[j] : 0};
}
__device__ __forceinline__ bool sees(const Problem& p, int query, int queryDepth, const Key& key) {
  return key.from <= query && query < key.until && (p.attrs.window == 0 || queryDepth - key.depth < p.attrs.window);
}
__device__ __forceinline__ int depthOf(const Problem& p, int query) { return p.attrs.window && query < p.keys ? p.depth[query] : 0; }

// `wide` tiles as one
__device__ __forceinline__ Tile tileAt(const Problem& p, int t, int wide) {
  Tile tile = p.tiles[t * wide];
  for (int i = 1; i < wide; i++) {
    Tile other = p.tiles[t * wide + i];
    tile.low = min(tile.low, other.low), tile.high = max(tile.high, other.high);
    tile.latest = max(tile.latest, other.latest), tile.soonest = min(tile.soonest, other.soonest);
    tile.shallow = min(tile.shallow, other.shallow), tile.deep = max(tile.deep, other.deep);
  }
  return tile;
}

// queries [first, end), in numbers of tokens, and a range that holds their depths
struct Queries {
  int first, end, shallow, deep;
};
__device__ __forceinline__ Queries queriesOf(const Problem& p, int first, int end) {
  Queries q = {first, end, 0x7fffffff, 0};
  if (p.attrs.window) {
    for (int t = first / kTile; t * kTile < min(end, p.keys); t++) q.shallow = min(q.shallow, p.tiles[t].shallow), q.deep = max(q.deep, p.tiles[t].deep);
  }
  return q;
}
// may any of them see any key of the tile; do all see all
__device__ __forceinline__ bool anySees(const Problem& p, const Queries& q, const Tile& t) {
  return t.low < q.end && t.high > q.first && (p.attrs.window == 0 || q.shallow - t.deep < p.attrs.window);
}
__device__ __forceinline__ bool allSee(const Problem& p, const Queries& q, const Tile& t) {
  return t.latest <= q.first && t.soonest >= q.end && (p.attrs.window == 0 || q.deep - t.shallow < p.attrs.window);
}

// the first tile (of `wide` · kTile keys) from `t` on that one of the queries may see; every lane of a warp gets the same answer
__device__ __forceinline__ int nextTile(const Problem& p, int t, const Queries& q, int wide = 1) {
  int tiles = (p.keys + wide * kTile - 1) / (wide * kTile);
  for (; t < tiles; t += 32) {
    int mine = t + threadIdx.x % 32;
    unsigned any = __ballot_sync(0xffffffffu, mine < tiles && anySees(p, q, tileAt(p, mine, wide)));
    if (any) return t + __ffs(any) - 1;
  }
  return tiles;
}
