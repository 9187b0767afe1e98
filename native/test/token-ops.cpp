// RoPE, dropout, cache writes and target log-probabilities at odd sizes against f64: nothing beside the columns is touched, and 1, 2 and 3
// threads give the same bits.
#include "attention.hpp"

using namespace saqr;
using namespace saqr::test;

namespace {

Tensor ints(std::vector<int32_t>& values) { return {values.data(), int64_t(values.size()), 1, 1, DType::i32, 0, nullptr}; }

// runs on 1, 2 and 3 threads, each time from what `out` holds now
void runAlike(const Call& call, std::initializer_list<Data*> out, const char* what) {
  std::vector<Data> before, first;
  for (Data* d : out) before.push_back(*d);
  for (int threads : {1, 2, 3}) {
    size_t i = 0;
    for (Data* d : out) d->bytes.assign(before[i].bytes.begin(), before[i].bytes.end()), i++;  // in place: the call holds its address
    call.run(pool(threads));
    i = 0;
    for (Data* d : out) {
      if (threads == 1) first.push_back(*d);
      else EXPECT(d->bytes == first[i].bytes, "%s differs on %d threads", what, threads);
      EXPECT(d->gapsIntact(), "%s wrote beside its columns", what);
      i++;
    }
  }
}

double roundingOf(DType type) { return type == DType::f32 ? 1e-6 : 1.0 / 256; }  // of one stored result

}  // namespace

TEST(rope_rotates) {
  for (DType type : {DType::f32, DType::bf16}) {
    for (int interleaved : {0, 1}) {
      for (auto [headDim, rotary] : {std::pair{16, 16}, {64, 64}, {80, 20}, {24, 22}, {40, 6}}) {
        const int T = 7, heads = 3;
        Data x(T, heads * headDim, type, 5), table(T, rotary, DType::f32);
        Random random(headDim);
        x.random(random, 1);
        table.random(random, 1);
        const Data old = x;
        runAlike(Call("rope", 1, {x.tensor(), x.tensor(), table.tensor()}, {double(headDim), double(rotary), double(interleaved), -1}), {&x}, "rope");
        for (int t = 0; t < T; t++) {
          for (int c = 0; c < x.cols; c++) {
            const int i = c % headDim, head = c - i, half = rotary / 2, pair = interleaved ? i / 2 : i % half;
            double want = old.get(t, c);
            if (i < rotary) {
              const bool second = interleaved ? i % 2 : i >= half;
              const int other = head + (interleaved ? i ^ 1 : second ? i - half : i + half);
              want = want * table.get(t, pair) + (second ? -1 : 1) * old.get(t, other) * table.get(t, half + pair);
            }
            EXPECT(std::abs(x.get(t, c) - want) <= roundingOf(type) * std::abs(want) + 1e-6, "head size %d, row %d, channel %d: %g for %g", headDim, t, c, x.get(t, c), want);
          }
        }
      }
    }
  }
}

TEST(dropout_bits) {
  auto mix = [](uint32_t h) {
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return h ^ (h >> 16);
  };
  for (double p : {0.05, 0.5, 0.9, 1.0}) {
    const int T = 9, C = 37;
    Data x(T, C, DType::f32, 3);
    for (int t = 0; t < T; t++) {
      for (int c = 0; c < C; c++) x.set(t, c, 1);
    }
    std::vector<int32_t> row(T), depth(T), step{-7, 123456, 0, 0};
    for (int t = 0; t < T; t++) row[t] = t / 4, depth[t] = t % 4;
    Tensor steps{step.data(), 1, 4, 4, DType::i32, 0, nullptr};
    runAlike(Call("dropout", 1, {x.tensor(), x.tensor(), ints(row), ints(depth), steps}, {p, 4000000000.0}), {&x}, "dropout");
    for (int t = 0; t < T; t++) {
      uint32_t key = 0;
      for (uint32_t word : {uint32_t(step[0]), uint32_t(step[1]), uint32_t(row[t]), uint32_t(depth[t]), 4000000000u}) key = mix((key ^ word) + 0x9e3779b9u);
      for (int c = 0; c < C; c++) {
        const bool kept = mix(key + uint32_t(c) * 0x9e3779b9u) >= p * 4294967296.0;
        EXPECT(std::abs(x.get(t, c) - (kept ? 1 / (1 - p) : 0)) < 1e-5, "p = %g, row %d, channel %d", p, t, c);
      }
    }
  }
}

TEST(cache_write_fits) {
  for (DType type : {DType::f32, DType::bf16}) {
    Data x(3, 21, type, 4), cache(10, 21, type, 2);
    Random random(1);
    x.random(random, 1);
    cache.random(random, 1);
    const Data old = cache;
    std::vector<int32_t> start{7};
    const Call write("cache_write", 1, {cache.tensor(), x.tensor(), ints(start), cache.tensor()}, {});
    runAlike(write, {&cache}, "cache_write");
    for (int i = 0; i < 10; i++) {
      for (int c = 0; c < 21; c++) EXPECT(cache.get(i, c) == (i < 7 ? old.get(i, c) : x.get(i - 7, c)), "row %d", i);
    }
    start[0] = 8;
    EXPECT(!write.error(pool(2)).empty(), "rows past the end of the cache");
  }
}

TEST(target_log_probs_of_entries) {
  for (DType type : {DType::f32, DType::bf16}) {
    for (int V : {1, 3, 50, 2048, 5003}) {
      const int chunk = 5, cursor = 2;
      std::vector<int32_t> start{0, 1, 2, 4, 4, 7, 8, 9}, target, at{cursor}, count{6};  // position 3 has none, position 6 lies past the count
      Data logits(chunk, V, type, 3), d(chunk, V, type, 6), scores(9, 3, DType::f32), weight(9, 1, DType::f32), scale(1, 1, DType::f32);
      Random random(V);
      logits.random(random, V == 50 ? 30 : 2);
      scale.set(0, 0, 0.3);
      for (int e = 0; e < 9; e++) target.push_back(random.below(V)), weight.set(e, 0, e % 3 == 1 ? -0.5 : 1 + e), scores.set(e, 0, 77);
      const std::vector<Tensor> in{logits.tensor(), ints(start), ints(target), weight.tensor(), ints(at), ints(count), scores.tensor()};
      std::vector<Tensor> forward{scores.tensor()}, backward{scores.tensor(), d.tensor()};
      forward.insert(forward.end(), in.begin(), in.end());
      backward.insert(backward.end(), in.begin(), in.end());
      backward.push_back(scale.tensor());
      runAlike(Call("target_log_probs", 1, forward, {}), {&scores}, "target_log_probs");
      const Data alone = scores;
      runAlike(Call("target_log_probs_backward", 2, backward, {}), {&scores, &d}, "target_log_probs_backward");
      EXPECT(alone.bytes == scores.bytes, "scores with and without the gradient");
      for (int i = 0; i < chunk; i++) {
        const bool real = cursor + i < count[0];
        double top = -INFINITY, sum = 0, weights = 0, entropy = 0;
        int likeliest = 0;
        for (int c = 0; c < V; c++) {
          if (logits.get(i, c) > top) top = logits.get(i, c), likeliest = c;
        }
        for (int c = 0; c < V; c++) sum += std::exp(logits.get(i, c) - top);
        for (int c = 0; c < V; c++) entropy += std::exp(logits.get(i, c) - top) / sum * (std::log(sum) + top - logits.get(i, c));
        Exact want(V, 0.0);
        for (int e = start[cursor + i]; real && e < start[cursor + i + 1]; e++) {
          weights += weight.get(e, 0);
          want[target[e]] -= 0.3f * weight.get(e, 0);
          const double exact = logits.get(i, target[e]) - top - std::log(sum);
          EXPECT(std::abs(scores.get(e, 1) - entropy) <= 2e-6 * (1 + entropy), "V = %d, entry %d: entropy %g for %g", V, e, scores.get(e, 1), entropy);
          EXPECT(scores.get(e, 2) == (target[e] == likeliest), "V = %d, entry %d: is it the likeliest?", V, e);
          EXPECT(std::abs(scores.get(e, 0) - exact) <= 2e-6 * (1 + std::abs(exact)), "V = %d, entry %d: %g for %g", V, e, scores.get(e, 0), exact);
        }
        for (int c = 0; c < V; c++) {
          want[c] += 0.3f * weights * std::exp(logits.get(i, c) - top) / sum;
          EXPECT(std::abs(d.get(i, c) - want[c]) <= roundingOf(type) * std::abs(want[c]) + 1e-6, "V = %d, row %d, token %d: %g for %g", V, i, c, d.get(i, c), want[c]);
        }
      }
      EXPECT(scores.get(8, 0) == 77 && scores.get(0, 0) == 77, "entries of other chunks");
      // a logit that is no number, also in the last, odd column, must be seen in the loss
      for (int column : {0, V - 1}) {
        logits.set(0, column, NAN);
        EXPECT(Call("target_log_probs", 1, forward, {}).error(pool(2)).empty(), "it runs");
        EXPECT(std::isnan(scores.get(2, 0)) && std::isnan(scores.get(2, 1)), "V = %d: NaN in column %d", V, column);
        logits.set(0, column, 1);
      }
    }
  }
}
