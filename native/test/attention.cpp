// Attention's kernels against the f64 definition: every kind of mask, head sizes, strides; the same bits on 1, 2 and 3 threads.
#include <chrono>
#include <thread>
#include "attention.hpp"

using namespace saqr;
using namespace saqr::test;

namespace {

// ‖Δ‖ / ‖y‖ of the whole, and of each row against a row's usual size (a wrong row must not hide among right ones)
void compare(const std::string& what, const Data& got, const Exact& want, double tolerance) {
  double error = 0, size = 1e-3 * got.rows * got.cols;  // where the exact value is 0 (one key: ds = 0), errors are of the inputs' size, which is 1
  for (int i = 0; i < got.rows; i++) {
    for (int c = 0; c < got.cols; c++) {
      const double y = want[size_t(i) * got.cols + c], d = got.get(i, c) - y;
      if (std::isinf(y) && got.get(i, c) == y) continue;
      error += d * d;
      size += y * y;
    }
  }
  EXPECT(!(std::sqrt(error) > tolerance * std::sqrt(size)) && !std::isnan(error), "%s: error %.2e of %.2e", what.c_str(), std::sqrt(error / size),
         tolerance);
  const double usual = std::sqrt(size / got.rows);
  for (int i = 0; i < got.rows; i++) {
    double e = 0, y2 = 0;
    for (int c = 0; c < got.cols; c++) {
      const double y = want[size_t(i) * got.cols + c], d = got.get(i, c) - y;
      if (std::isinf(y) && got.get(i, c) == y) continue;
      e += d * d;
      y2 += y * y;
    }
    EXPECT(!(std::sqrt(e) > 3 * tolerance * (std::sqrt(y2) + 0.3 * usual)), "%s: row %d is off by %.2e (its size %.2e, usual %.2e)", what.c_str(), i, std::sqrt(e),
           std::sqrt(y2), usual);
  }
  EXPECT(got.gapsIntact(), "%s: wrote beside its columns", what.c_str());
}

struct Tolerance {
  double forward, backward, lse;
};
// f32: about 2e-7 an operation. bf16: 8 bits, 2⁻⁹ on average for each rounding (p, o; in backward ds and the output)
constexpr Tolerance kF32{2e-6, 4e-6, 1e-6}, kBf16{4e-3, 6e-3, 1e-3};

void check(const Problem& p, DType type) {
  const std::string name = p.name + (type == DType::f32 ? ", f32" : ", bf16");
  const Tolerance tolerance = type == DType::f32 ? kF32 : kBf16;
  const int T = p.rows(), S = p.keys(), width = p.heads * p.headDim, narrow = p.kvHeads * p.headDim, gap = p.fused ? 2 * narrow + 8 : 0;
  Random random(p.name.size() * 131 + p.headDim);
  // one wide matrix of q, k, v columns, or three dense ones
  Data wide(S, width + 2 * narrow, type, p.fused ? 8 : 0), q(T, width, type), k(S, narrow, type), v(S, narrow, type);
  q.random(random, p.spread);
  k.random(random, 1);
  v.random(random, 1);
  for (int i = 0; p.fused && i < S; i++) {
    for (int c = 0; c < width; c++) wide.set(i, c, q.get(i, c));
    for (int c = 0; c < narrow; c++) wide.set(i, width + c, k.get(i, c)), wide.set(i, width + narrow + c, v.get(i, c));
  }
  const Tensor qT = p.fused ? wide.view(0, width) : q.tensor(), kT = p.fused ? wide.view(width, narrow) : k.tensor(),
               vT = p.fused ? wide.view(width + narrow, narrow) : v.tensor();
  MaskOf mask = p.mask;
  auto ints = [](std::vector<int32_t>& values) { return Tensor{values.data(), int64_t(values.size()), 1, 1, DType::i32, 0, nullptr}; };
  std::vector<int32_t> start{p.start};
  Tensor startT = ints(start);
  if (p.start < 0) startT.data = nullptr;
  const std::vector<double> attrs{double(p.heads), double(p.kvHeads), double(p.headDim), 1 / std::sqrt(double(p.headDim)), double(p.window)};

  Data o(T, width, type, gap), lse(T, p.heads, DType::f32);
  const Call forward("attention", 2, {o.tensor(), lse.tensor(), qT, kT, vT, ints(mask.from), ints(mask.until), ints(mask.depth), startT}, attrs);
  forward.run(pool(1));
  const Data o1 = o, lse1 = lse;
  for (int threads : {2, 3, 8}) {
    memset(o.bytes.data(), 0x5a, o.bytes.size());
    forward.run(pool(threads));
    EXPECT(o.bytes == o1.bytes && lse.bytes == lse1.bytes, "%s: forward differs on %d threads", name.c_str(), threads);
  }
  Data dO(T, width, type, gap), dq(T, width, type, gap), dk(S, narrow, type, gap), dv(S, narrow, type, gap);
  dO.random(random, 1);
  const bool differentiable = p.start < 0;
  const Definition exact = define(p, q, k, v, differentiable ? &dO : nullptr, &o);
  compare(name + ", o", o, exact.o, tolerance.forward);
  compare(name + ", lse", lse, exact.lse, tolerance.lse);
  if (!differentiable) return;

  const Call backward("attention_backward", 3,
                      {dq.tensor(), dk.tensor(), dv.tensor(), dO.tensor(), o.tensor(), lse.tensor(), qT, kT, vT, ints(mask.from), ints(mask.until), ints(mask.depth)},
                      attrs);
  backward.run(pool(1));
  const Data dq1 = dq, dk1 = dk, dv1 = dv;
  for (int threads : {2, 3, 8}) {
    for (Data* d : {&dq, &dk, &dv}) memset(d->bytes.data(), 0x5a, d->bytes.size());
    backward.run(pool(threads));
    EXPECT(dq.bytes == dq1.bytes && dk.bytes == dk1.bytes && dv.bytes == dv1.bytes, "%s: backward differs on %d threads", name.c_str(), threads);
  }
  compare(name + ", dq", dq, exact.dq, tolerance.backward);
  compare(name + ", dk", dk, exact.dk, tolerance.backward);
  compare(name + ", dv", dv, exact.dv, tolerance.backward);
}

void checkAll(const std::vector<Problem>& problems) {
  for (const Problem& p : problems) {
    for (DType type : {DType::f32, DType::bf16}) check(p, type);
  }
}

}  // namespace

TEST(attention_masks) {
  checkAll({
      {"one token", 1, 1, 16, MaskOf().row(1)},
      {"one row", 2, 1, 64, MaskOf().row(150)},
      {"rows", 3, 1, 64, MaskOf().row(1).row(70).row(33).row(129).row(2)},
      {"rows and pads", 4, 2, 32, MaskOf().row(40).row(90).pads(61)},
      {"window", 3, 3, 32, MaskOf().row(200).row(31), 17},
      {"wide window", 2, 1, 64, MaskOf().row(300), 100},
      {"shared beginnings", 3, 1, 64, MaskOf().shared(50, {40, 1, 77}).row(20).shared(3, {9, 8})},
      {"shared beginnings and a window", 2, 2, 64, MaskOf().shared(50, {40, 1, 77}).row(20), 60},
      {"bidirectional", 2, 1, 48, MaskOf().row(100).row(60).bidirectional(10, 75).bidirectional(110, 130)},
      {"tokens that see nothing", 2, 1, 64, MaskOf().row(9).row(40).pads(3).unseen(0).unseen(9).unseen(10).unseen(50)},
      {"nobody sees anything", 1, 1, 64, MaskOf().pads(2).unseen(0).unseen(1)},
  });
}

TEST(attention_heads) {
  std::vector<Problem> problems;
  for (int headDim = 16; headDim <= 256; headDim += headDim < 64 ? 8 : headDim < 128 ? 24 : 40) {
    problems.push_back({"head size " + std::to_string(headDim), 2, 1, headDim, MaskOf().row(70).row(50)});
  }
  for (int group : {1, 2, 3, 4, 5, 7, 8, 11}) problems.push_back({"group of " + std::to_string(group), 2 * group, 2, 32, MaskOf().row(37).row(60)});
  problems.push_back({"columns of one product", 6, 2, 64, MaskOf().row(90).row(13), 0, -1, 0, true});
  problems.push_back({"head size 256, columns", 2, 1, 256, MaskOf().row(140), 0, -1, 0, true});
  problems.push_back({"sharp", 2, 1, 64, MaskOf().row(200), 0, -1, 0, false, 12});
  checkAll(problems);
}

TEST(attention_cache) {
  std::vector<Problem> problems;
  for (int queries : {1, 2, 3, 4, 5, 17, 40}) {
    const std::string n = std::to_string(queries);
    problems.push_back({"cache, " + n + " new", 4, 2, 64, MaskOf().row(333), 0, 333 - queries, queries});
    problems.push_back({"cache with room, " + n + " new", 3, 3, 40, MaskOf().row(150), 0, 70, queries});
    problems.push_back({"cache and window, " + n + " new", 6, 1, 128, MaskOf().row(150), 33, 110, queries});
    problems.push_back({"cache and shared beginnings, " + n + " new", 6, 2, 32, MaskOf().shared(30, {40, 60}), 0, 80, queries});
  }
  checkAll(problems);
}

// What is packed once for all when it fits, and tokens owned in one run, is packed anew and owned in parts when it doesn't.
TEST(attention_beyond_scratch) {
  check({"more tokens than stay packed or are owned at once", 1, 1, 256, MaskOf().shared(8, std::vector<int>(131, 20))}, DType::f32);
}

TEST(attention_nan) {
  for (DType type : {DType::f32, DType::bf16}) {
    for (int T : {1, 40}) {
      Data q(T, 64, type), k(T, 32, type), v(T, 32, type), o(T, 64, type), lse(T, 2, DType::f32);
      Random random(3);
      for (Data* d : {&q, &k, &v}) d->random(random, 1);
      q.set(T / 2, 5, NAN);
      MaskOf mask = MaskOf().row(T);
      auto ints = [](std::vector<int32_t>& values) { return Tensor{values.data(), int64_t(values.size()), 1, 1, DType::i32, 0, nullptr}; };
      Call("attention", 2, {o.tensor(), lse.tensor(), q.tensor(), k.tensor(), v.tensor(), ints(mask.from), ints(mask.until), ints(mask.depth), Tensor{}}, {2, 1, 32, 1, 0}).run(pool(2));
      for (int i = 0; i < T; i++) {
        const bool bad = i == T / 2;
        EXPECT(std::isnan(o.get(i, 3)) == bad && std::isnan(lse.get(i, 0)) == bad && !std::isnan(o.get(i, 40)), "T = %d: NaN of query %d, head 0: at query %d", T, T / 2, i);
      }
    }
  }
}

TEST(attention_abort) {
  const int T = 6000;
  Data q(T, 512, DType::bf16), k(T, 512, DType::bf16), v(T, 512, DType::bf16), o(T, 512, DType::bf16), lse(T, 4, DType::f32), dq = q, dk = q, dv = q;
  MaskOf mask = MaskOf().row(T).bidirectional(0, T);
  auto ints = [](std::vector<int32_t>& values) { return Tensor{values.data(), int64_t(values.size()), 1, 1, DType::i32, 0, nullptr}; };
  const std::vector<double> attrs{4, 4, 128, 1, 0};
  const Tensor from = ints(mask.from), until = ints(mask.until), depth = ints(mask.depth);
  const Call forward("attention", 2, {o.tensor(), lse.tensor(), q.tensor(), k.tensor(), v.tensor(), from, until, depth, Tensor{}}, attrs);
  const Call backward("attention_backward", 3,
                      {dq.tensor(), dk.tensor(), dv.tensor(), q.tensor(), o.tensor(), lse.tensor(), q.tensor(), k.tensor(), v.tensor(), from, until, depth}, attrs);
  for (const Call* call : {&forward, &backward}) {
    volatile int32_t abort = 0;
    std::chrono::steady_clock::time_point asked;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      asked = std::chrono::steady_clock::now();
      abort = 1;
    });
    call->error(pool(2), &abort);
    const auto end = std::chrono::steady_clock::now();
    other.join();
    const double ms = std::chrono::duration<double, std::milli>(end - asked).count();
    EXPECT(ms > 0 && ms < 100, "stopped %.1f ms after it was asked", ms);
  }
}

TEST(attention_refuses) {
  Data x(4, 20, DType::f32);
  std::vector<float> lse(4);
  std::vector<int32_t> mask{0, 1, 2, 3};
  const Tensor m{mask.data(), 4, 1, 1, DType::i32, 0, nullptr}, l{lse.data(), 4, 1, 1, DType::f32, 0, nullptr}, none{};
  const Call odd("attention", 2, {x.tensor(), l, x.tensor(), x.tensor(), x.tensor(), m, m, m, none}, {1, 1, 20, 1, 0});
  EXPECT(odd.error(pool(2)).find("20") != std::string::npos, "head size 20 isn't named: %s", odd.error(pool(2)).c_str());
}
