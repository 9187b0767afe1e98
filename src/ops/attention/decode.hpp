// Attention of a few new tokens over a long cache: bound by reading keys and values once. Here channels lie in lanes (a block of queries
// would leave most lanes empty): scores of W keys are sums across lanes, taken together by exchanges; heads that share keys read them once.
#pragma once
#include <utility>
#include "keys.hpp"
#include "work.hpp"

namespace saqr::attention {

// Swaps the off-diagonal S × S blocks of two rows of vectors.
template <int S, int... X>
SAQR_INLINE void exchange(vi& a, vi& b, std::integer_sequence<int, X...>) {
#if defined(__clang__)
  const vi low = __builtin_shufflevector(a, b, ((X & S) ? W + X - S : X)...);
  const vi high = __builtin_shufflevector(a, b, ((X & S) ? W + X : X + S)...);
#else
  const vi low = __builtin_shuffle(a, b, vi{((X & S) ? W + X - S : X)...});
  const vi high = __builtin_shuffle(a, b, vi{((X & S) ? W + X : X + S)...});
#endif
  a = low;
  b = high;
}
// lane r of the result: the sum over the lanes of v[r]
template <int S = 1>
SAQR_INLINE vf sumsOf(vf (&v)[W]) {
  if constexpr (S == W) {
    return v[0];
  } else {
#pragma GCC unroll 16
    for (int r = 0; r < W; r += 2 * S) {
      vi a = asInt(v[r]), b = asInt(v[r + S]);
      exchange<S>(a, b, std::make_integer_sequence<int, W>());
      v[r] = asFloat(a) + asFloat(b);
    }
    return sumsOf<2 * S>(v);
  }
}

template <class U, class T>
class Decode {
 public:
  Decode(const Call& call, Worker& worker) : call_(call), worker_(worker), scratch_(worker) {}

  // Block of keys after block of keys, all heads of this thread over each: a row of the cache holds its heads side by side.
  void run() {
    const Range items = share(worker_, call_.q.rows * call_.heads);  // (query, head)
    for (int64_t query = items.from / call_.heads; query * call_.heads < items.to && !worker_.aborted(); query++) {
      scratch_ = Scratch(worker_);
      scores_ = scratch_.take<float>(kMostHeads * kBlock);
      groups_ = scratch_.take<Group>(call_.heads);
      count_ = 0;
      const int64_t to = std::min(call_.heads, items.to - query * call_.heads);
      for (int64_t head = std::max<int64_t>(0, items.from - query * call_.heads); head < to; head += groups_[count_++].heads) {
        if (!begin(groups_[count_], query, head, to)) return worker_.fail("attention: more heads than its scratch holds");
      }
      sweep(query);
    }
  }

 private:
  static constexpr int kMostHeads = 4, kPadded = kMostChannels, kChunks = kPadded / (W * U::kPer);  // of the largest head
  // heads that share their keys
  struct Group {
    int64_t first, keyHead;
    int heads;
    int32_t* q;   // (heads, kChunks · W)
    float* sums;  // (heads, kPadded)
    float top[kMostHeads], total[kMostHeads];
  };
  const Call& call_;
  Worker& worker_;
  Scratch scratch_;
  float* scores_;  // (heads, 64), then weights
  Group* groups_;
  int64_t count_;
  const int32_t* table_;  // pages of the query at hand; null: none
  int32_t at_;            // which key it is
  int64_t keys_;

  bool begin(Group& group, int64_t query, int64_t head, int64_t end) {
    const int64_t sharing = call_.heads / call_.kvHeads;
    group = {head, head / sharing, static_cast<int>(std::min({sharing - head % sharing, end - head, int64_t{kMostHeads}})), nullptr, nullptr, {}, {}};
    group.q = scratch_.take<int32_t>(group.heads * kChunks * W);
    group.sums = scratch_.take<float>(group.heads * kPadded);
    if (!group.sums) return false;
    std::fill(group.sums, group.sums + group.heads * kPadded, 0.0f);
    for (int n = 0; n < group.heads; n++) {
      const Begin begin = beginOf(call_, head + n);
      group.top[n] = begin.top;
      group.total[n] = begin.total;
      const T* q = headOf<const T>(call_.q, head + n, call_.headDim).row(query);
      for (int64_t c = 0; c * W * U::kPer < call_.headDim; c++) store(group.q + (n * kChunks + c) * W, unitsAt(q, c));
    }
    return true;
  }

  void sweep(int64_t query) {
    const Paging& paging = call_.paging;
    table_ = paging.table ? paging.table + query * paging.tables : nullptr;
    at_ = table_ ? paging.position[query * paging.positions] : static_cast<int32_t>(call_.start + query);
    const int64_t first = table_ && call_.window > 0 ? std::max<int64_t>(0, at_ - call_.window + 1) / kBlock * kBlock : 0;
    keys_ = table_ ? at_ + 1 : call_.keys;
    for (int64_t j = first; j < keys_ && !worker_.aborted(); j += kBlock) {
      vi seen[kBlock / W], any{};
      for (int x = 0; x < kBlock / W; x++) any |= seen[x] = visible(j + x * W);
      if (sum(__builtin_convertvector(any, vf)) == 0) continue;
      for (int64_t x = 0; x < count_; x++) {
        const T* next = x + 1 < count_ ? keysOf(groups_[x + 1], j) : j + kBlock < keys_ ? keysOf(groups_[0], j + kBlock) : nullptr;
        switch (groups_[x].heads) {
          case 1: addBlock<1>(groups_[x], j, seen, next); break;
          case 2: addBlock<2>(groups_[x], j, seen, next); break;
          case 3: addBlock<3>(groups_[x], j, seen, next); break;
          case 4: addBlock<4>(groups_[x], j, seen, next); break;
        }
      }
    }
    for (int64_t x = 0; x < count_; x++) finish(groups_[x], query);
  }

  // keys that the query sees, W from j on
  vi visible(int64_t j) const {
    const vi at = set1(at_);
    if (table_) {
      const vi back = at - (iota() + static_cast<int32_t>(j));
      return call_.window > 0 ? (back >= 0) & (back < static_cast<int32_t>(call_.window)) : back >= 0;
    }
    const vi from = maskValues(0, j, INT_MAX), until = maskValues(1, j, INT_MIN);
    const vi seen = (from <= at) & (at < until);
    if (!(call_.window > 0)) return seen;
    const int32_t depth = static_cast<const int32_t*>(call_.mask[2].data)[at_ * call_.mask[2].stride];
    return seen & (depth - maskValues(2, j, 0) < static_cast<int32_t>(call_.window));
  }
  vi maskValues(int which, int64_t j, int32_t beyond) const {
    const Tensor& t = call_.mask[which];
    const int32_t* values = static_cast<const int32_t*>(t.data) + j * t.stride;
    if (t.stride == 1 && j + W <= t.rows) return load(values);
    int32_t lanes[W];
    for (int x = 0; x < W; x++) lanes[x] = j + x < t.rows ? values[x * t.stride] : beyond;
    return load(lanes);
  }

  void finish(const Group& group, int64_t query) {
    for (int n = 0; n < group.heads; n++) {
      const bool seen = group.total[n] != 0;  // NaN is seen
      unpackRow(headOf<T>(call_.o, group.first + n, call_.valueDim).row(query), group.sums + n * kPadded, call_.valueDim, seen ? 1 / group.total[n] : 0.0f);
      float* lse = static_cast<float*>(call_.lse.data) + query * call_.lse.stride + group.first + n;
      *lse = seen ? group.top[n] * call_.scale + std::log(group.total[n]) : -INFINITY;
    }
  }

  const T* keysOf(const Group& group, int64_t j) const {
    return headOf<const T>(call_.k, group.keyHead, call_.headDim).row(Paging::slot(table_, call_.paging.page, j));
  }
  // A head's rows lie as far apart as the cache is wide, which no processor foresees: values are asked for while scores are taken, the next keys
  // before values are added. Rows of f32 are long enough to keep its loads waiting for memory, not for their turn: asking costs 4 to 14 % there (bench/results/x86-before-after.txt).
  static SAQR_INLINE void askFor(const T* row, int64_t stride, int64_t rows, int64_t channels) {
    if constexpr (sizeof(T) == 2) {
      for (const T* end = row + rows * stride; row < end; row += stride) {
        for (int64_t c = 0; c < channels; c += 32) __builtin_prefetch(row + c, 0, 2);
      }
    }
  }

  // keys and values from j on; `next`: keys that come after these
  template <int N>
  __attribute__((noinline)) void addBlock(Group& group, int64_t j, const vi* seen, const T* next) {
    const Head<const T> k = headOf<const T>(call_.k, group.keyHead, call_.headDim), v = headOf<const T>(call_.v, group.keyHead, call_.valueDim);
    const int64_t count = std::min<int64_t>(kBlock, keys_ - j), row = Paging::slot(table_, call_.paging.page, j);
    if (count < kBlock) std::fill(scores_, scores_ + N * kBlock, kLowest);
    for (int64_t x = 0; x < count; x += W) {
      const int64_t keys = std::min<int64_t>(W, count - x);
      askFor(v.row(row + x), v.stride, keys, call_.valueDim);
      scoresOf<N>(group, k.row(row + x), k.stride, keys, seen[x / W], scores_ + x);
    }
    weigh<N>(group);
    if (next) askFor(next, call_.k.stride, count, call_.headDim);
    addValues<N>(group, v.row(row), v.stride, count);
  }

  vi unitsAt(const T* row, int64_t chunk) const {
    const int64_t left = call_.headDim - chunk * W * U::kPer;
    return left >= W * U::kPer ? loadUnits<U>(row + chunk * W * U::kPer) : loadUnits<U>(row + chunk * W * U::kPer, static_cast<int>(left));
  }

  // q · k of W keys (the last again where there are fewer), lowest where not seen; `to` has the heads 64 apart
  template <int N>
  SAQR_INLINE void scoresOf(const Group& group, const T* keys, int64_t stride, int64_t count, vi seen, float* to) {
    vf sums[N][W];
    const int64_t chunks = (call_.headDim + W * U::kPer - 1) / (W * U::kPer);
    for (int r = 0; r < W; r++) {
      const T* key = keys + std::min<int64_t>(r, count - 1) * stride;
      vf sum[N] = {};
      for (int64_t c = 0; c < chunks; c++) {
        const vi k = unitsAt(key, c);
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) sum[n] = U::multiplyAdd(sum[n], load(group.q + (n * kChunks + c) * W), k);
      }
#pragma GCC unroll 4
      for (int n = 0; n < N; n++) sums[n][r] = sum[n];
    }
    for (int n = 0; n < N; n++) {
      const vf score = sumsOf(sums[n]);
      store(to + n * kBlock, select(seen, call_.softCap > 0 ? Cap(call_)(score) : score, set1(kLowest)));
    }
  }

  // scores -> weights against the largest so far
  template <int N>
  SAQR_INLINE void weigh(Group& group) {
    const float scale = call_.scale * 1.44269504f;
    for (int n = 0; n < N; n++) {
      float* s = scores_ + n * kBlock;
      vf top = load(s);
      for (int x = W; x < kBlock; x += W) top = max(top, load(s + x));
      const float highest = std::max(group.top[n], maxOf(top)), shift = highest > kLowest ? highest * scale : 0;
      const vf factor = U::exp2(set1((group.top[n] - highest) * scale));
      vf total{};
      for (int x = 0; x < kBlock; x += W) {
        const vf p = U::exp2(load(s + x) * scale - shift);
        store(s + x, p);
        total += p;
      }
      group.total[n] = group.total[n] * factor[0] + sum(total);
      group.top[n] = highest;
      for (int64_t c = 0; c < call_.valueDim; c += W) store(group.sums + n * kPadded + c, load(group.sums + n * kPadded + c) * factor);
    }
  }

  template <int N>
  SAQR_INLINE void addValues(Group& group, const T* values, int64_t stride, int64_t count) {
    int64_t c = 0;
    const int64_t V = call_.valueDim;
    for (; c + 4 * W <= V; c += 4 * W) addColumns<N, 4>(group, values, stride, count, c, W);
    for (; c < V; c += W) addColumns<N, 1>(group, values, stride, count, c, static_cast<int>(std::min<int64_t>(W, V - c)));
  }
  template <int N, int C>
  SAQR_INLINE void addColumns(Group& group, const T* values, int64_t stride, int64_t count, int64_t from, int lanes) {
    vf sum[N][C];
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
#pragma GCC unroll 4
      for (int c = 0; c < C; c++) sum[n][c] = load(group.sums + n * kPadded + from + c * W);
    }
    for (int64_t r = 0; r < count; r++, values += stride) {
#pragma GCC unroll 4
      for (int c = 0; c < C; c++) {
        const vf v = lanes == W ? loadF(values + from + c * W) : loadFirst(values + from + c * W, lanes);
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) sum[n][c] = fma(set1(scores_[n * kBlock + r]), v, sum[n][c]);
      }
    }
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
#pragma GCC unroll 4
      for (int c = 0; c < C; c++) store(group.sums + n * kPadded + from + c * W, sum[n][c]);
    }
  }
};

}  // namespace saqr::attention
