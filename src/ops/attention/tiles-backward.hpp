// The backward pass (backward.hpp) in bf16 by the processor's tiles: its five products are tiles', of 64 keys and up to 128 queries; what
// is between them is vectors of 16 queries. Who owns what, and the order of every sum, are the same.
#pragma once
#include "tiles-chunk.hpp"

#if SAQR_TILES
namespace saqr::attention {

class TileBackward {
 public:
  TileBackward(const Call& call, const BackwardTensors& tensors, Worker& worker)
      : call_(call), scoring_(call), t_(tensors), worker_(worker), scratch_(worker) {}

  // a sink is in the logarithm of the sum already
  static bool suits(const Call& call) { return call.headDim == call.valueDim; }

  void run() {
    if (!prepare()) return worker_.fail("attention_backward: more keys than its scratch can index");
    const tiles::Use use;
    const Split split = splitTokens(mask_, prefix_, call_, worker_);
    for (int64_t g = split.from.group; g <= split.to.group && g < call_.kvHeads; g++) {
      const int64_t from = g == split.from.group ? split.from.block : 0, to = g == split.to.group ? split.to.block : split.blocks;
      for (int64_t b = from; b < to && !worker_.aborted(); b += mostBlocks_) own({g, b, std::min(b + mostBlocks_, to)});
    }
  }

 private:
  using U = Bf16Units;
  using Keys = PackedKeys<U, bf16>;
  struct Owned {
    int64_t group, from, to;  // blocks of tokens
    bool has(int64_t block) const { return block >= from && block < to; }
  };
  struct Lane {
    vf lse, delta;  // lse in powers of two
    Mask::Lanes lanes;
  };

  const Call& call_;
  const Scoring scoring_;
  const BackwardTensors& t_;
  Worker& worker_;
  Scratch scratch_;
  TileLanes lanes_;
  Mask mask_;
  Keys keys_;
  Tile* tiles_;
  double* prefix_;
  int64_t padded_, mostBlocks_, width_ = 0;  // width: of the queries at hand, 16 · vectors
  int32_t *q_, *dO_;                         // (padded / 2, width)
  int32_t *qRows_, *dORows_;                 // (width / 2, padded)
  float *scores_, *dWeights_;                // (64, width)
  bf16 *weights_, *dScores_;                 // (64, width)
  int32_t* dScorePairs_;                     // (64 / 2, width)
  float* dQ_;                                // dqᵀ (padded, width)
  float *dK_, *dV_;                          // (owned tokens, padded)
  Lane lane_[TileLanes::kMost];

  bool prepare() {
    lanes_ = TileLanes(call_.heads / call_.kvHeads);
    if (!mask_.prepare(scratch_, call_.mask, call_.keys, call_.window)) return false;
    const int64_t width = lanes_.most * W, D = call_.headDim;
    padded_ = (D + kChannelStep - 1) / kChannelStep * kChannelStep;
    q_ = scratch_.take<int32_t>(padded_ / 2 * width);
    dO_ = scratch_.take<int32_t>(padded_ / 2 * width);
    qRows_ = scratch_.take<int32_t>(width / 2 * padded_);
    dORows_ = scratch_.take<int32_t>(width / 2 * padded_);
    scores_ = scratch_.take<float>(kBlock * width);
    dWeights_ = scratch_.take<float>(kBlock * width);
    weights_ = scratch_.take<bf16>(kBlock * width);
    dScores_ = scratch_.take<bf16>(kBlock * width);
    dScorePairs_ = scratch_.take<int32_t>(kBlock / 2 * width);
    dQ_ = scratch_.take<float>(padded_ * width);
    tiles_ = scratch_.take<Tile>(mask_.blocks * (kBlock / kTile));
    prefix_ = scratch_.take<double>(2 * mask_.blocks + 2);
    if (!prefix_ || !keys_.prepare(scratch_, mask_.keys, {{&call_.k, Keys::plain, D, padded_}, {&call_.v, Keys::plain, D, padded_}, {&call_.k, Keys::turned, D, padded_}}, 3 << 20)) return false;
    mostBlocks_ = std::min<int64_t>(mask_.blocks, scratch_.left() / (2 * padded_ * sizeof(float) * kBlock + 128));
    dK_ = scratch_.take<float>(mostBlocks_ * kBlock * padded_);
    dV_ = scratch_.take<float>(mostBlocks_ * kBlock * padded_);
    return mostBlocks_ > 0 && dV_;
  }

  void own(const Owned& owned) {
    const int64_t tokens = (owned.to - owned.from) * kBlock, first = owned.from * kBlock, D = call_.headDim;
    std::fill(dK_, dK_ + tokens * padded_, 0.0f);
    std::fill(dV_, dV_ + tokens * padded_, 0.0f);
    for (int64_t i = 0; i < call_.q.rows && !worker_.aborted();) {
      const int64_t end = std::min(call_.q.rows, i + lanes_.queries);
      queries(owned, i, end);
      i = end;
    }
    const Head<bf16> dK = headOf<bf16>(t_.dK, owned.group, D), dV = headOf<bf16>(t_.dV, owned.group, D);
    for (int64_t j = first; j < std::min(first + tokens, mask_.keys); j++) {
      unpackRow(dK.row(j), dK_ + (j - first) * padded_, D, call_.scale);
      unpackRow(dV.row(j), dV_ + (j - first) * padded_, D, 1.0f);
    }
  }

  void queries(const Owned& owned, int64_t first, int64_t end) {
    const bool mine = owned.has(first / kBlock);
    const int64_t tiles = listTiles(mask_, mask_.queries(first, end), mine ? 0 : owned.from, mine ? mask_.blocks : owned.to, tiles_);
    if (!mine && tiles == 0) return;
    for (int pass = 0; pass < lanes_.passes; pass++) {
      const HeadLanes::Pass p = lanes_.pass(pass);
      heads(owned, mine, owned.group * lanes_.group + p.head, p.heads, first, end, tiles);
    }
  }

  void heads(const Owned& owned, bool mine, int64_t head, int count, int64_t first, int64_t end, int64_t tiles) {
    const int vectors = count * lanes_.vectors;
    width_ = vectors * W;
    for (int n = 0; n < vectors; n++) vectorOf(n, head + n / lanes_.vectors, first + n % lanes_.vectors * W, end);
    for (const Tensor* x : {&call_.q, &call_.o, &t_.dO}) prefetch<bf16>(*x, head, count, call_.headDim, end, end + lanes_.queries);
    for (int64_t t = 0; t < tiles && !worker_.aborted();) {
      const int64_t block = tiles_[t].index / (kBlock / kTile);
      const Chunk chunk(tiles_ + t, chunkOf(tiles_ + t, tiles - t));
      const int32_t* keys = keys_.block(owned.group, block);
      addChunk(chunk, keys, vectors, mine, t == 0, owned.has(block) ? (block - owned.from) * kBlock : -1);
      t += chunk.count;
    }
    if (!mine || worker_.aborted()) return;
    if (tiles == 0) std::fill(dQ_, dQ_ + padded_ * width_, 0.0f);
    for (int n = 0; n < vectors; n++) {
      const int64_t query = first + n % lanes_.vectors * W;
      const Head<bf16> dQ = headOf<bf16>(t_.dQ, head + n / lanes_.vectors, call_.headDim);
      if (query < end) unpackTransposed(dQ.row(query), dQ.stride, dQ_ + n * W, width_, static_cast<int>(std::min<int64_t>(W, end - query)), call_.headDim, set1(call_.scale));
    }
  }

  // q, dO and statistics of W queries; lanes without one get zeros and so add nothing
  void vectorOf(int n, int64_t head, int64_t query, int64_t end) {
    const int64_t D = call_.headDim, units = padded_ / 2;
    const int count = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
    query = std::min(query, end - 1);  // an address inside even when no lane has a query
    const Head<const bf16> q = headOf<const bf16>(call_.q, head, D), o = headOf<const bf16>(call_.o, head, D), dO = headOf<const bf16>(t_.dO, head, D);
    packTransposed<U>(q_ + n * W, width_, q.row(query), q.stride, count, units, D);
    packTransposed<U>(dO_ + n * W, width_, dO.row(query), dO.stride, count, units, D);
    packRows<U>(qRows_ + n * (W / 2) * padded_, padded_, q.row(query), q.stride, count, W / 2, D);
    packRows<U>(dORows_ + n * (W / 2) * padded_, padded_, dO.row(query), dO.stride, count, W / 2, D);
    int32_t* oUnits = reinterpret_cast<int32_t*>(dQ_);  // free until the first chunk
    packTransposed<U>(oUnits, W, o.row(query), o.stride, count, units, D);
    vf even{}, odd{};
    for (int64_t u = 0; u < units; u += 2) {
      even = U::multiplyAdd(even, load(dO_ + u * width_ + n * W), load(oUnits + u * W));
      odd = U::multiplyAdd(odd, load(dO_ + (u + 1) * width_ + n * W), load(oUnits + (u + 1) * W));
    }
    const float* lse = static_cast<const float*>(call_.lse.data) + query * call_.lse.stride + head;
    float lanes[W] = {};
    for (int x = 0; x < count; x++) lanes[x] = lse[x * call_.lse.stride];
    lane_[n] = {load(lanes) * 1.44269504f, even + odd, mask_.lanes(query, count)};
  }

  // `token`: the chunk's block among those owned, or −1
  void addChunk(const Chunk& chunk, const int32_t* keys, int vectors, bool mine, bool fresh, int64_t token) {
    const int64_t from = chunk.rowFrom, rows = (chunk.rowTo - from) / 16, steps = padded_ / kChannelStep, wide = width_ * 4;
    const bf16 *k = reinterpret_cast<const bf16*>(keys) + from * padded_, *v = k + 2 * keys_.section[1].offset;
    tiles::multiply({k, padded_ * 2}, {q_, wide}, scores_ + from * width_, wide, rows, vectors, steps, false);
    tiles::multiply({v, padded_ * 2}, {dO_, wide}, dWeights_ + from * width_, wide, rows, vectors, steps, false);
    for (int n = 0; n < vectors; n++) gradients(chunk, lane_[n], n * W);
    if (token >= 0) {
      const int64_t at = (token + from) * padded_;
      tiles::multiply({weights_ + from * width_, width_ * 2}, {dORows_, padded_ * 4}, dV_ + at, padded_ * 4, rows, padded_ / 16, width_ / 32, true);
      tiles::multiply({dScores_ + from * width_, width_ * 2}, {qRows_, padded_ * 4}, dK_ + at, padded_ * 4, rows, padded_ / 16, width_ / 32, true);
    }
    if (!mine) return;
    const int32_t* columns = keys + keys_.section[2].offset + chunk.stepFrom * 16;
    tiles::multiply({columns, kBlock * 2}, {dScorePairs_ + chunk.stepFrom * 16 * width_, wide}, dQ_, wide, padded_ / 16, vectors,
                    chunk.stepTo - chunk.stepFrom, !fresh);
  }

  // p and ds of a vector of queries, as rows of keys (summed over queries) and ds also in pairs of keys (summed over keys); 0 where nobody sees
  __attribute__((noinline)) void gradients(const Chunk& chunk, const Lane& lane, int64_t at) {
    const vf scale = set1(call_.scale * 1.44269504f), lse = lane.lse, delta = lane.delta;
    for (int64_t t = 0; t < chunk.count; t++) {
      const Tile& tile = chunk.tiles[t];
      const int64_t row = Chunk::place(tile) * kTile, place = row * width_ + at;
      const bool plain = !scoring_.capped && !tile.masked;
      auto one = [&](int r, __m256i& d) {
        vf score = load(scores_ + place + r * width_), slope = set1(1.0f);
        if (!plain && scoring_.capped) score = scoring_.cap(score), slope = scoring_.cap.slope(score);
        vf weight = U::exp2(score * scale - lse);
        if (!plain && tile.masked) weight = select(mask_.visible(lane.lanes, tile.index * kTile + r), weight, vf{});
        vf dScore = weight * (load(dWeights_ + place + r * width_) - delta);
        if (!plain && scoring_.capped) dScore *= slope;
        storeBf16(weights_ + place + r * width_, weight);
        d = (__m256i)_mm512_cvtneps_pbh((__m512)dScore);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dScores_ + place + r * width_), d);
      };
      int32_t* pairs = dScorePairs_ + row / 2 * width_ + at;
#pragma GCC unroll 4
      for (int r = 0; r < kTile; r += 2, pairs += width_) {
        __m256i first, second;
        one(r, first);
        one(r + 1, second);
        store(pairs, asInt(gemm::zip(first, second)));
      }
    }
    chunk.eachUnseen([&](int tile) {
      const int64_t row = tile * kTile;
      for (int64_t r = row; r < row + kTile; r++) {
        storeBf16(weights_ + r * width_ + at, vf{});
        storeBf16(dScores_ + r * width_ + at, vf{});
      }
      for (int64_t r = row / 2; r < (row + kTile) / 2; r++) store(dScorePairs_ + r * width_ + at, vi{});
    });
  }
};

}  // namespace saqr::attention
#endif
