// The forward pass (forward.hpp) in bf16 by the processor's tiles: sᵀ = k · qᵀ and oᵀ += vᵀ · p are tiles' products of 64 keys, what is
// between them is vectors of 16 queries.
#pragma once
#include "tiles-chunk.hpp"

#if SAQR_TILES
namespace saqr::attention {

class TileForward {
 public:
  TileForward(const Call& call, Worker& worker) : call_(call), scoring_(call), worker_(worker), scratch_(worker) {}

  static bool suits(const Call& call) { return call.headDim == call.valueDim && !call.sinks.data; }

  void run() {
    if (!prepare()) return worker_.fail("attention: more keys than its scratch can index");
    const tiles::Use use;
    const Split split = splitQueries(mask_, prefix_, call_, lanes_.queries, worker_);
    for (int64_t g = split.from.group; g <= split.to.group && g < call_.kvHeads; g++) {
      const int64_t from = g == split.from.group ? split.from.block : 0, to = g == split.to.group ? split.to.block : split.blocks;
      for (int64_t b = from; b < to && !worker_.aborted(); b++) block(g, b);
    }
  }

 private:
  using U = Bf16Units;
  using Keys = PackedKeys<U, bf16>;
  struct Lane {
    vf top, total;
    Mask::Lanes lanes;
  };

  const Call& call_;
  const Scoring scoring_;
  Worker& worker_;
  Scratch scratch_;
  TileLanes lanes_;
  Mask mask_;
  Keys keys_;
  Tile* tiles_;
  double* prefix_;
  int64_t padded_, width_ = 0;  // of channels; of the queries at hand, 16 · vectors
  int32_t* q_;                  // (padded / 2, width)
  float *scores_, *sums_;       // (64, width); oᵀ (padded, width)
  int32_t* weights_;            // (64 / 2, width)
  Lane lane_[TileLanes::kMost];

  bool prepare() {
    lanes_ = TileLanes(call_.heads / call_.kvHeads);
    if (!mask_.prepare(scratch_, call_.mask, call_.keys, call_.window)) return false;
    const int64_t width = lanes_.most * W, D = call_.headDim;
    padded_ = (D + kChannelStep - 1) / kChannelStep * kChannelStep;
    q_ = scratch_.take<int32_t>(padded_ / 2 * width);
    scores_ = scratch_.take<float>(kBlock * width);
    weights_ = scratch_.take<int32_t>(kBlock / 2 * width);
    sums_ = scratch_.take<float>(padded_ * width);
    tiles_ = scratch_.take<Tile>(mask_.blocks * (kBlock / kTile));
    prefix_ = scratch_.take<double>(call_.q.rows / lanes_.queries + 2);
    return prefix_ && keys_.prepare(scratch_, mask_.keys, {{&call_.k, Keys::plain, D, padded_}, {&call_.v, Keys::turned, D, padded_}}, 5 << 20, call_.paging);
  }

  void block(int64_t g, int64_t b) {
    const int64_t first = b * lanes_.queries, end = std::min(call_.q.rows, first + lanes_.queries);
    const int64_t tiles = listTiles(mask_, mask_.queries(call_.start + first, call_.start + end), 0, mask_.blocks, tiles_);
    for (int pass = 0; pass < lanes_.passes; pass++) {
      const HeadLanes::Pass p = lanes_.pass(pass);
      heads(g, g * lanes_.group + p.head, p.heads, first, end, tiles);
    }
  }

  // vector n holds queries first + n % vectors · W … of head + n / vectors
  void heads(int64_t g, int64_t head, int count, int64_t first, int64_t end, int64_t tiles) {
    const int vectors = count * lanes_.vectors;
    width_ = vectors * W;
    for (int n = 0; n < vectors; n++) {
      const int64_t query = first + n % lanes_.vectors * W;
      const int queries = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
      const Head<const bf16> q = headOf<const bf16>(call_.q, head + n / lanes_.vectors, call_.headDim);
      packTransposed<U>(q_ + n * W, width_, q.row(std::min(query, end - 1)), q.stride, queries, padded_ / 2, call_.headDim);
      lane_[n] = {set1(kLowest), vf{}, mask_.lanes(call_.start + std::min(query, end - 1), queries)};
    }
    prefetch<bf16>(call_.q, head, count, call_.headDim, end, end + lanes_.queries);
    for (int64_t t = 0; t < tiles && !worker_.aborted();) {
      const Chunk chunk(tiles_ + t, chunkOf(tiles_ + t, tiles - t));
      addChunk(chunk, keys_.block(g, tiles_[t].index / (kBlock / kTile)), vectors, t == 0);
      t += chunk.count;
    }
    if (tiles == 0) std::fill(sums_, sums_ + padded_ * width_, 0.0f);
    for (int n = 0; n < vectors; n++) finish(lane_[n], n, head + n / lanes_.vectors, first + n % lanes_.vectors * W, end);
  }

  void addChunk(const Chunk& chunk, const int32_t* keys, int vectors, bool fresh) {
    const bf16* rows = reinterpret_cast<const bf16*>(keys) + chunk.rowFrom * padded_;
    const int32_t* values = keys + keys_.section[1].offset + chunk.stepFrom * 16;
    tiles::multiply({rows, padded_ * 2}, {q_, width_ * 4}, scores_ + chunk.rowFrom * width_, width_ * 4, (chunk.rowTo - chunk.rowFrom) / 16, vectors,
                    padded_ / kChannelStep, false);
    for (int n = 0; n < vectors; n++) weigh(chunk, lane_[n], n * W, fresh);
    tiles::multiply({values, kBlock * 2}, {weights_ + chunk.stepFrom * 16 * width_, width_ * 4}, sums_, width_ * 4, padded_ / 16, vectors,
                    chunk.stepTo - chunk.stepFrom, !fresh);
  }

  // a vector's scores to weights, which are 0 where nobody sees; its sums so far by how far the largest score rose
  __attribute__((noinline)) void weigh(const Chunk& chunk, Lane& lane, int64_t at, bool fresh) {
    const vf scale = set1(call_.scale * 1.44269504f);  // exp(x) = 2^(x · log2 e)
    vf top[4] = {lane.top, lane.top, lane.top, lane.top};
    for (int64_t t = 0; t < chunk.count; t++) {
      const Tile& tile = chunk.tiles[t];
      float* row = scores_ + Chunk::place(tile) * kTile * width_ + at;
      if (!scoring_.capped && !tile.masked) {
#pragma GCC unroll 8
        for (int r = 0; r < kTile; r++) top[r % 4] = max(load(row + r * width_), top[r % 4]);
        continue;
      }
      for (int r = 0; r < kTile; r++) {
        vf score = load(row + r * width_);
        if (scoring_.capped) score = scoring_.cap(score);
        if (tile.masked) score = select(mask_.visible(lane.lanes, tile.index * kTile + r), score, set1(kLowest));
        store(row + r * width_, score);
        top[r % 4] = max(score, top[r % 4]);
      }
    }
    const vf highest = max(max(top[0], top[1]), max(top[2], top[3])), factor = U::exp2((lane.top - highest) * scale);
    const vf shift = select(highest > kLowest, highest * scale, vf{});  // a query that has seen nothing yet weighs nothing: 2^(−1e30)
    vf total[2] = {lane.total * factor, vf{}};
    for (int64_t t = 0; t < chunk.count; t++) {
      const float* from = scores_ + Chunk::place(chunk.tiles[t]) * kTile * width_ + at;
      int32_t* to = weights_ + Chunk::place(chunk.tiles[t]) * (kTile / 2) * width_ + at;
#pragma GCC unroll 4
      for (int r = 0; r < kTile; r += 2, from += 2 * width_, to += width_) {
        const vf first = U::exp2(load(from) * scale - shift), second = U::exp2(load(from + width_) * scale - shift);
        total[0] += first;
        total[1] += second;
        store(to, pairOf(first, second));
      }
    }
    chunk.eachUnseen([&](int tile) {
      for (int r = 0; r < kTile / 2; r++) store(weights_ + (tile * (kTile / 2) + r) * width_ + at, vi{});
    });
    lane.top = highest;
    lane.total = total[0] + total[1];
    if (fresh || _mm512_cmp_ps_mask((__m512)factor, _mm512_set1_ps(1), _CMP_NEQ_UQ) == 0) return;
    for (float *sum = sums_ + at, *end = sum + padded_ * width_; sum < end; sum += width_) store(sum, load(sum) * factor);
  }

  void finish(const Lane& lane, int n, int64_t head, int64_t query, int64_t end) {
    const int count = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
    if (count == 0) return;
    const vi seen = lane.total != 0.0f;  // NaN is seen
    const vf inverse = select(seen, 1.0f / select(seen, lane.total, set1(1.0f)), vf{});
    const Head<bf16> o = headOf<bf16>(call_.o, head, call_.headDim);
    unpackTransposed(o.row(query), o.stride, sums_ + n * W, width_, count, call_.headDim, inverse);
    float lse[W];
    store(lse, select(seen, lane.top * call_.scale + log(lane.total), set1(-INFINITY)));
    float* to = static_cast<float*>(call_.lse.data) + query * call_.lse.stride + head;
    for (int x = 0; x < count; x++) to[x * call_.lse.stride] = lse[x];
  }
};

}  // namespace saqr::attention
#endif
