// The forward pass over blocks of queries, W queries of several heads that share their keys side by side in N vectors:
//   sᵀ = k · qᵀ, p = exp(s − m), oᵀ = oᵀ · exp(m_old − m) + vᵀ · p,   keys in chunks of up to 64, m the largest score so far.
// With queries in lanes every statistic is a lane of a vector and a mask costs the same for all heads. A head's sink is where m and the sum of
// weights begin.
#pragma once
#include "keys.hpp"
#include "work.hpp"

namespace saqr::attention {

template <class U, class T>
class Forward {
 public:
  Forward(const Call& call, Worker& worker) : call_(call), worker_(worker), scratch_(worker) {}

  void run() {
    if (!prepare()) return worker_.fail("attention: more keys than its scratch can index");
    const Split split = splitQueries(mask_, prefix_, call_, lanes_.queries, worker_);
    for (int64_t g = split.from.group; g <= split.to.group && g < call_.kvHeads; g++) {
      const int64_t from = g == split.from.group ? split.from.block : 0, to = g == split.to.group ? split.to.block : split.blocks;
      for (int64_t b = from; b < to && !worker_.aborted(); b++) block(g, b);
    }
  }

 private:
  const Call& call_;
  Worker& worker_;
  Scratch scratch_;
  HeadLanes lanes_;
  Mask mask_;
  PackedKeys<U, T> keys_;
  Tile* tiles_;
  double* prefix_;
  int32_t* q_;                      // (headDim / kPer, N · W)
  float *scores_, *sums_;           // (64, N · W); oᵀ (valueDim, N · W)
  int32_t* weights_;                // (64 / kPer, N · W)

  bool prepare() {
    lanes_ = HeadLanes(call_.heads / call_.kvHeads);
    if (!mask_.prepare(scratch_, call_.mask, call_.keys, call_.window)) return false;
    const int64_t width = lanes_.most * W, D = call_.headDim, V = call_.valueDim;
    q_ = scratch_.take<int32_t>(call_.padded / U::kPer * width);
    scores_ = scratch_.take<float>(kBlock * width);
    weights_ = scratch_.take<int32_t>(kBlock / U::kPer * width);
    sums_ = scratch_.take<float>(call_.valuePadded * width);
    tiles_ = scratch_.take<Tile>(mask_.blocks * (kBlock / kTile));
    prefix_ = scratch_.take<double>(call_.q.rows / lanes_.queries + 2);
    using Keys = PackedKeys<U, T>;
    return prefix_ && keys_.prepare(scratch_, mask_.keys, {{&call_.k, Keys::panels, D, call_.padded}, {&call_.v, Keys::rows, V, call_.valuePadded}}, 5 << 20, call_.paging);
  }

  void block(int64_t g, int64_t b) {
    const int64_t first = b * lanes_.queries, end = std::min(call_.q.rows, first + lanes_.queries);
    const int64_t tiles = listTiles(mask_, mask_.queries(call_.start + first, call_.start + end), 0, mask_.blocks, tiles_);
    for (int pass = 0; pass < lanes_.passes; pass++) {
      const HeadLanes::Pass p = lanes_.pass(pass);
      const int64_t head = g * lanes_.group + p.head;
      switch (p.heads * lanes_.vectors) {
        case 1: heads<1>(g, head, first, end, tiles); break;
        case 2: heads<2>(g, head, first, end, tiles); break;
        case 3: heads<3>(g, head, first, end, tiles); break;
        case 4: heads<4>(g, head, first, end, tiles); break;
      }
    }
  }

  template <int N>
  struct State {
    vf top[N], total[N];
    Mask::Lanes lanes[N];
  };

  // vector n holds queries first + n % vectors · W … of head + n / vectors
  template <int N>
  __attribute__((noinline)) void heads(int64_t g, int64_t head, int64_t first, int64_t end, int64_t tiles) {
    const int64_t D = call_.headDim;
    const int vectors = lanes_.vectors;
    State<N> state;
    for (int n = 0; n < N; n++) {
      const int64_t query = first + n % vectors * W;
      const int count = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
      const Head<const T> q = headOf<const T>(call_.q, head + n / vectors, D);
      packTransposed<U>(q_ + n * W, N * W, q.row(std::min(query, end - 1)), q.stride, count, call_.padded / U::kPer, D);
      const Begin begin = beginOf(call_, head + n / vectors);
      state.top[n] = set1(begin.top);
      state.total[n] = set1(begin.total);
      state.lanes[n] = mask_.lanes(call_.start + query, count);
    }

    prefetch<T>(call_.q, head, N / vectors, D, end, end + lanes_.queries);
    prefetch<T>(call_.o, head, N / vectors, call_.valueDim, first, end);
    for (int64_t t = 0; t < tiles && !worker_.aborted();) {
      const int64_t chunk = chunkOf(tiles_ + t, tiles - t);
      addChunk<N>(state, keys_.block(g, tiles_[t].index / (kBlock / kTile)), tiles_ + t, chunk, t == 0);
      t += chunk;
    }
    finish<N>(state, head, first, end, tiles == 0);
  }

  // scores of a chunk (one block of keys), then weights, then sums
  template <int N>
  SAQR_INLINE void addChunk(State<N>& state, const int32_t* block, const Tile* tiles, int64_t count, bool fresh) {
    const vf scale = set1(call_.scale * 1.44269504f);  // exp(x) = 2^(x · log2 e)
    vf top[N], factor[N];
    for (int n = 0; n < N; n++) top[n] = state.top[n];
    for (int64_t t = 0; t < count; t++) tileScores<N>(state, top, keys_.panelOf(block, 0, tiles[t].index), tiles[t], scores_ + t * kTile * N * W);
    for (int n = 0; n < N; n++) {
      factor[n] = U::exp2((state.top[n] - top[n]) * scale);
      state.top[n] = top[n];
      state.total[n] *= factor[n];
      top[n] = select(top[n] > kLowest, top[n] * scale, vf{});  // a query that has seen nothing yet weighs nothing: 2^(−1e30)
    }
    tileWeights<N>(state, top, scale, count);
    addValues<N>(factor, block, tiles, count, fresh);
  }

  template <int N>
  __attribute__((noinline)) void tileScores(const State<N>& state, vf (&top)[N], const int32_t* keys, const Tile& tile, float* to) {
    constexpr int M = kRows<N>;
    for (int r = 0; r < kTile; r += M) {
      vf sum[M][N];
      clear(sum);
      multiply<U>(sum, keys + r, kPanel, 1, q_, N * W, call_.padded / U::kPer);
      if (call_.softCap > 0) {
        const Cap cap(call_);
        for (int m = 0; m < M; m++) {
          for (int n = 0; n < N; n++) sum[m][n] = cap(sum[m][n]);
        }
      }
      if (tile.masked) {
        for (int m = 0; m < M; m++) {
          for (int n = 0; n < N; n++) sum[m][n] = select(mask_.visible(state.lanes[n], tile.index * kTile + r + m), sum[m][n], set1(kLowest));
        }
      }
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) {
          top[n] = max(sum[m][n], top[n]);
          store(to + ((r + m) * N + n) * W, sum[m][n]);
        }
      }
    }
  }

  template <int N>
  __attribute__((noinline)) void tileWeights(State<N>& state, const vf (&shift)[N], vf scale, int64_t tiles) {
    vf total[N];
    for (int n = 0; n < N; n++) total[n] = state.total[n];
    const float* from = scores_;
    int32_t* to = weights_;
    for (int64_t row = 0; row < tiles * (kTile / U::kPer); row++, from += U::kPer * N * W, to += N * W) {
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) {
        const vf first = U::exp2(load(from + n * W) * scale - shift[n]);
        total[n] += first;
        if constexpr (U::kPer == 1) {
          store(to + n * W, asInt(first));
        } else {
          const vf second = U::exp2(load(from + (N + n) * W) * scale - shift[n]);
          total[n] += second;
          store(to + n * W, pairOf(first, second));
        }
      }
    }
    for (int n = 0; n < N; n++) state.total[n] = total[n];
  }

  template <int N>
  __attribute__((noinline)) void addValues(const vf (&factor)[N], const int32_t* block, const Tile* tiles, int64_t count, bool fresh) {
    constexpr int M = kRows<N>;
    const int64_t D = call_.valuePadded;
    for (int64_t c = 0; c < D; c += M) {
      vf sum[M][N];
      float* at = sums_ + c * N * W;
      if (fresh) {
        clear(sum);
      } else {
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
          for (int n = 0; n < N; n++) sum[m][n] = load(at + (m * N + n) * W) * factor[n];
        }
      }
      for (int64_t t = 0; t < count; t++) {
        multiply<U>(sum, keys_.rowsOf(block, 1, tiles[t].index) + c, D, 1, weights_ + t * (kTile / U::kPer) * N * W, N * W, kTile / U::kPer);
      }
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) store(at + (m * N + n) * W, sum[m][n]);
      }
    }
  }

  template <int N>
  void finish(const State<N>& state, int64_t head, int64_t first, int64_t end, bool nothing) {
    const int64_t D = call_.valueDim;
    if (nothing) std::fill(sums_, sums_ + call_.valuePadded * N * W, 0.0f);
    for (int n = 0; n < N; n++) {
      const int64_t query = first + n % lanes_.vectors * W, at = head + n / lanes_.vectors;
      const int count = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
      if (count == 0) continue;
      const vi seen = state.total[n] != 0.0f;  // NaN is seen
      const vf inverse = select(seen, 1.0f / select(seen, state.total[n], set1(1.0f)), vf{});
      const Head<T> o = headOf<T>(call_.o, at, D);
      unpackTransposed(o.row(query), o.stride, sums_ + n * W, N * W, count, D, inverse);
      float lse[W];
      store(lse, select(seen, state.top[n] * call_.scale + log(state.total[n]), set1(-INFINITY)));
      float* to = static_cast<float*>(call_.lse.data) + query * call_.lse.stride + at;
      for (int x = 0; x < count; x++) to[x * call_.lse.stride] = lse[x];
    }
  }
};

}  // namespace saqr::attention
