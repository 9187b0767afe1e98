// The backward pass, one sweep where it can be. With p = exp(s − lse) and D = Σ dO · o, pairs of a block of queries and a tile of keys give
//   dv += p · dO,  ds = p · (dO · vᵀ − D),  dk += ds · q,  dq += dsᵀ · k      (dq and dk times the scale at the end)
// A thread owns a run of tokens of a key head: it writes their dq, dk and dv, and nobody else does. Pairs whose query and key it owns are
// computed once for all three; where it owns only one side, it computes its side and the owner of the other computes them again. Every sum
// runs over queries, or keys, in ascending order whoever owns what: the cut shows in no bit, and no thread waits for another.
#pragma once
#include "keys.hpp"
#include "work.hpp"

namespace saqr::attention {

template <class U, class T>
class Backward {
 public:
  Backward(const Call& call, const BackwardTensors& tensors, Worker& worker) : call_(call), t_(tensors), worker_(worker), scratch_(worker) {}

  void run() {
    if (!prepare()) return worker_.fail("attention_backward: more keys than its scratch can index");
    const Split split = splitTokens(mask_, prefix_, call_, worker_);
    for (int64_t g = split.from.group; g <= split.to.group && g < call_.kvHeads; g++) {
      const int64_t from = g == split.from.group ? split.from.block : 0, to = g == split.to.group ? split.to.block : split.blocks;
      for (int64_t b = from; b < to && !worker_.aborted(); b += mostBlocks_) own({g, b, std::min(b + mostBlocks_, to)});
    }
  }

 private:
  struct Owned {
    int64_t group, from, to;  // blocks of tokens
    bool has(int64_t block) const { return block >= from && block < to; }
  };

  const Call& call_;
  const BackwardTensors& t_;
  Worker& worker_;
  Scratch scratch_;
  HeadLanes lanes_;
  Mask mask_;
  PackedKeys<U, T> keys_;
  Tile* tiles_;
  double* prefix_;
  int64_t padded_, valuePadded_;     // rows of dk and dv: channels rounded up to whole vectors
  int64_t mostBlocks_;
  int32_t *q_, *dO_;                 // (headDim / kPer, N · W), (valueDim / kPer, N · W)
  int32_t *qRows_, *dORows_;         // (N · W / kPer, padded)
  int32_t *weights_, *dScores_;      // (64, N · W / kPer)
  int32_t* dScorePairs_;             // (64 / kPer, N · W)
  float* dQ_;                        // dqᵀ (headDim, N · W)
  float *dK_, *dV_;                  // (owned tokens, padded)

  bool prepare() {
    lanes_ = HeadLanes(call_.heads / call_.kvHeads);
    if (!mask_.prepare(scratch_, call_.mask, call_.keys, call_.window)) return false;
    const int64_t width = lanes_.most * W, D = call_.padded, V = call_.valuePadded;
    padded_ = (D + W - 1) / W * W;
    valuePadded_ = (V + W - 1) / W * W;
    q_ = scratch_.take<int32_t>(D / U::kPer * width);
    dO_ = scratch_.take<int32_t>(V / U::kPer * width);
    qRows_ = scratch_.take<int32_t>(width / U::kPer * padded_);
    dORows_ = scratch_.take<int32_t>(width / U::kPer * valuePadded_);
    weights_ = scratch_.take<int32_t>(kBlock * width / U::kPer);
    dScores_ = scratch_.take<int32_t>(kBlock * width / U::kPer);
    dScorePairs_ = U::kPer == 1 ? dScores_ : scratch_.take<int32_t>(kBlock / U::kPer * width);
    dQ_ = scratch_.take<float>(std::max(D, V) * width);  // o's units lie here first
    tiles_ = scratch_.take<Tile>(mask_.blocks * (kBlock / kTile));
    prefix_ = scratch_.take<double>(2 * mask_.blocks + 2);
    using Keys = PackedKeys<U, T>;
    if (!prefix_) return false;
    const int64_t keys = call_.headDim, values = call_.valueDim;
    if (!keys_.prepare(scratch_, mask_.keys, {{&call_.k, Keys::panels, keys, D}, {&call_.v, Keys::panels, values, V}, {&call_.k, Keys::rows, keys, D}}, 3 << 20)) return false;
    mostBlocks_ = std::min<int64_t>(mask_.blocks, scratch_.left() / ((padded_ + valuePadded_) * sizeof(float) * kBlock + 128));
    dK_ = scratch_.take<float>(mostBlocks_ * kBlock * padded_);
    dV_ = scratch_.take<float>(mostBlocks_ * kBlock * valuePadded_);
    return mostBlocks_ > 0 && dV_;
  }

  void own(const Owned& owned) {
    const int64_t tokens = (owned.to - owned.from) * kBlock, first = owned.from * kBlock, D = call_.headDim, V = call_.valueDim;
    std::fill(dK_, dK_ + tokens * padded_, 0.0f);
    std::fill(dV_, dV_ + tokens * valuePadded_, 0.0f);
    for (int64_t i = 0; i < call_.q.rows && !worker_.aborted(); i += lanes_.queries) queries(owned, i, std::min(call_.q.rows, i + lanes_.queries));
    const Head<T> dK = headOf<T>(t_.dK, owned.group, D), dV = headOf<T>(t_.dV, owned.group, V);
    for (int64_t j = first; j < std::min(first + tokens, mask_.keys); j++) {
      unpackRow(dK.row(j), dK_ + (j - first) * padded_, D, call_.scale);
      unpackRow(dV.row(j), dV_ + (j - first) * valuePadded_, V, 1.0f);
    }
  }

  void queries(const Owned& owned, int64_t first, int64_t end) {
    const bool mine = owned.has(first / kBlock);
    const int64_t tiles = listTiles(mask_, mask_.queries(first, end), mine ? 0 : owned.from, mine ? mask_.blocks : owned.to, tiles_);
    if (!mine && tiles == 0) return;
    for (int pass = 0; pass < lanes_.passes; pass++) {
      const HeadLanes::Pass p = lanes_.pass(pass);
      const int64_t head = owned.group * lanes_.group + p.head;
      switch (p.heads * lanes_.vectors) {
        case 1: heads<1>(owned, mine, head, first, end, tiles); break;
        case 2: heads<2>(owned, mine, head, first, end, tiles); break;
        case 3: heads<3>(owned, mine, head, first, end, tiles); break;
        case 4: heads<4>(owned, mine, head, first, end, tiles); break;
      }
    }
  }

  template <int N>
  struct State {
    vf lse[N], delta[N];  // lse in powers of two
    Mask::Lanes lanes[N];
  };

  template <int N>
  __attribute__((noinline)) void heads(const Owned& owned, bool mine, int64_t head, int64_t first, int64_t end, int64_t tiles) {
    State<N> state;
    for (int n = 0; n < N; n++) vectorOf<N>(state, n, head + n / lanes_.vectors, first + n % lanes_.vectors * W, end);
    prefetch<T>(call_.q, head, N / lanes_.vectors, call_.headDim, end, end + lanes_.queries);
    for (const Tensor* x : {&call_.o, &t_.dO}) prefetch<T>(*x, head, N / lanes_.vectors, call_.valueDim, end, end + lanes_.queries);
    for (int64_t t = 0; t < tiles && !worker_.aborted();) {
      const int64_t block = tiles_[t].index / (kBlock / kTile), count = chunkOf(tiles_ + t, tiles - t);
      const int32_t* keys = keys_.block(owned.group, block);
      for (int64_t k = 0; k < count; k++) tileGradients<N>(state, keys, tiles_[t + k], k * kTile);
      if (owned.has(block)) {
        for (int64_t k = 0; k < count; k++) {
          const int64_t token = tiles_[t + k].index * kTile - owned.from * kBlock, row = k * kTile * N * W / U::kPer;
          addRows<N>(dV_ + token * valuePadded_, weights_ + row, dORows_, valuePadded_);
          addRows<N>(dK_ + token * padded_, dScores_ + row, qRows_, padded_);
        }
      }
      if (mine) addQueries<N>(keys, tiles_ + t, count, t == 0);
      t += count;
    }
    if (!mine || worker_.aborted()) return;
    const int64_t D = call_.headDim;
    if (tiles == 0) std::fill(dQ_, dQ_ + call_.padded * N * W, 0.0f);
    for (int n = 0; n < N; n++) {
      const int64_t query = first + n % lanes_.vectors * W;
      const Head<T> dQ = headOf<T>(t_.dQ, head + n / lanes_.vectors, D);
      if (query < end) unpackTransposed(dQ.row(query), dQ.stride, dQ_ + n * W, N * W, static_cast<int>(std::min<int64_t>(W, end - query)), D, set1(call_.scale));
    }
  }

  // q, dO and statistics of W queries; lanes without one get zeros and so add nothing
  template <int N>
  void vectorOf(State<N>& state, int n, int64_t head, int64_t query, int64_t end) {
    const int64_t D = call_.headDim, V = call_.valueDim, units = call_.padded / U::kPer, valueUnits = call_.valuePadded / U::kPer;
    const int count = static_cast<int>(std::clamp<int64_t>(end - query, 0, W));
    query = std::min(query, end - 1);  // an address inside even when no lane has a query
    const Head<const T> q = headOf<const T>(call_.q, head, D), o = headOf<const T>(call_.o, head, V), dO = headOf<const T>(t_.dO, head, V);
    packTransposed<U>(q_ + n * W, N * W, q.row(query), q.stride, count, units, D);
    packTransposed<U>(dO_ + n * W, N * W, dO.row(query), dO.stride, count, valueUnits, V);
    packRows<U>(qRows_ + n * (W / U::kPer) * padded_, padded_, q.row(query), q.stride, count, W / U::kPer, D);
    packRows<U>(dORows_ + n * (W / U::kPer) * valuePadded_, valuePadded_, dO.row(query), dO.stride, count, W / U::kPer, V);
    int32_t* oUnits = reinterpret_cast<int32_t*>(dQ_);  // free until the first chunk
    packTransposed<U>(oUnits, W, o.row(query), o.stride, count, valueUnits, V);
    vf even{}, odd{};
    for (int64_t u = 0; u < valueUnits; u += 2) {
      even = U::multiplyAdd(even, load(dO_ + (u * N + n) * W), load(oUnits + u * W));
      odd = U::multiplyAdd(odd, load(dO_ + ((u + 1) * N + n) * W), load(oUnits + (u + 1) * W));
    }
    state.delta[n] = even + odd;
    const float* lse = static_cast<const float*>(call_.lse.data) + query * call_.lse.stride + head;
    float lanes[W] = {};
    for (int x = 0; x < count; x++) lanes[x] = lse[x * call_.lse.stride];
    state.lse[n] = load(lanes) * 1.44269504f;
    state.lanes[n] = mask_.lanes(query, count);
  }

  // p and ds of a tile, stored as rows of keys (summed over queries) and ds also in pairs of keys (summed over keys)
  template <int N>
  __attribute__((noinline)) void tileGradients(const State<N>& state, const int32_t* keys, const Tile& tile, int64_t row) {
    constexpr int M = kRows<N>;
    const int64_t units = call_.padded / U::kPer, valueUnits = call_.valuePadded / U::kPer;
    const bool capped = call_.softCap > 0;
    const int32_t *k = keys_.panelOf(keys, 0, tile.index), *v = keys_.panelOf(keys, 1, tile.index);
    const vf scale = set1(call_.scale * 1.44269504f);
    vf weight[M][N], d[M][N], slope[M][N];
    for (int r = 0; r < kTile; r += M) {
      clear(d);
      multiply<U>(d, k + r, kPanel, 1, q_, N * W, units);
      if (capped) {
        const Cap cap(call_);
        for (int m = 0; m < M; m++) {
          for (int n = 0; n < N; n++) {
            d[m][n] = cap(d[m][n]);
            slope[m][n] = cap.slope(d[m][n]);
          }
        }
      }
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) weight[m][n] = U::exp2(d[m][n] * scale - state.lse[n]);
      }
      if (tile.masked) {
        for (int m = 0; m < M; m++) {
          for (int n = 0; n < N; n++) weight[m][n] = select(mask_.visible(state.lanes[n], tile.index * kTile + r + m), weight[m][n], vf{});
        }
      }
      putRows<M, N>(weights_, row + r, weight);
      clear(d);
      multiply<U>(d, v + r, kPanel, 1, dO_, N * W, valueUnits);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) d[m][n] = weight[m][n] * (d[m][n] - state.delta[n]);
      }
      if (capped) {
        for (int m = 0; m < M; m++) {
          for (int n = 0; n < N; n++) d[m][n] *= slope[m][n];
        }
      }
      putRows<M, N>(dScores_, row + r, d);
      if constexpr (U::kPer == 2) {
#pragma GCC unroll 8
        for (int m = 0; m < M; m += 2) {
#pragma GCC unroll 4
          for (int n = 0; n < N; n++) store(dScorePairs_ + ((row + r + m) / 2 * N + n) * W, pairOf(d[m][n], d[m + 1][n]));
        }
      }
    }
  }

  template <int M, int N>
  static SAQR_INLINE void putRows(int32_t* to, int64_t row, const vf (&v)[M][N]) {
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) {
        int32_t* at = to + ((row + m) * N + n) * (W / U::kPer);
        if constexpr (U::kPer == 1) store(at, asInt(v[m][n]));
        else storeBf16(reinterpret_cast<bf16*>(at), v[m][n]);
      }
    }
  }

  // sums (8 keys, padded) += rows (8, N · W / kPer) · by (N · W / kPer, padded)
  template <int N>
  __attribute__((noinline)) void addRows(float* sums, const int32_t* rows, const int32_t* by, int64_t padded) {
    for (int64_t c = 0, left = padded / W; left > 0;) {
      const int64_t n = left == kMostVectors + 1 ? (left + 1) / 2 : std::min<int64_t>(left, kMostVectors);
      switch (n) {
        case 1: addColumns<N, 1>(sums + c, rows, by + c, padded); break;
        case 2: addColumns<N, 2>(sums + c, rows, by + c, padded); break;
        case 3: addColumns<N, 3>(sums + c, rows, by + c, padded); break;
        case 4: addColumns<N, 4>(sums + c, rows, by + c, padded); break;
      }
      c += n * W;
      left -= n;
    }
  }
  template <int N, int C>
  SAQR_INLINE void addColumns(float* sums, const int32_t* rows, const int32_t* by, int64_t padded) {
    constexpr int M = kRows<C>, steps = N * W / U::kPer;
    for (int r = 0; r < kTile; r += M) {
      vf sum[M][C];
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) sum[m][c] = load(sums + (r + m) * padded + c * W);
      }
      multiply<U>(sum, rows + r * steps, 1, steps, by, padded, steps);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int c = 0; c < C; c++) store(sums + (r + m) * padded + c * W, sum[m][c]);
      }
    }
  }

  template <int N>
  __attribute__((noinline)) void addQueries(const int32_t* keys, const Tile* tiles, int64_t count, bool fresh) {
    constexpr int M = kRows<N>;
    const int64_t D = call_.padded;
    for (int64_t c = 0; c < D; c += M) {
      vf sum[M][N];
      float* at = dQ_ + c * N * W;
      if (fresh) {
        clear(sum);
      } else {
#pragma GCC unroll 8
        for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
          for (int n = 0; n < N; n++) sum[m][n] = load(at + (m * N + n) * W);
        }
      }
      for (int64_t t = 0; t < count; t++) {
        multiply<U>(sum, keys_.rowsOf(keys, 2, tiles[t].index) + c, D, 1, dScorePairs_ + t * (kTile / U::kPer) * N * W, N * W, kTile / U::kPer);
      }
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) {
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) store(at + (m * N + n) * W, sum[m][n]);
      }
    }
  }
};

}  // namespace saqr::attention
