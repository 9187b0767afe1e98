// Products and weight gradients of random shapes, dtypes, strides and parts against f64, the same bits for any number of threads.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include "gemm-matrix.hpp"
#include "gemm.hpp"

using namespace saqr;
using namespace saqr::test;

namespace {

struct Shape {
  int64_t M, N;
  std::vector<int64_t> K;
  bool trans, bias, addend, alias;
  DType x;
  std::vector<DType> w;
  double alpha = 1;
  int64_t sample = 1;  // every how many-th element is checked
};

// What any order of f32 additions may lose: count · 2^-24 of the sum of absolute values, and the rounding of the result to bf16.
double allowed(double absolute, double value, int64_t count, DType out) {
  return absolute * static_cast<double>(count + 8) * 6e-8 + (out == DType::bf16 ? std::fabs(value) * 0.00391 : 0);
}

void checkProduct(const Shape& s, Random& random) {
  std::vector<Matrix> x, w;
  auto gap = [&] { return random.below(2) ? random.below(40) : 0; };
  for (size_t p = 0; p < s.K.size(); p++) {
    x.push_back(make(random, s.x, s.M, s.K[p], gap()));
    w.push_back(make(random, s.w[p], s.trans ? s.K[p] : s.N, s.trans ? s.N : s.K[p], gap(), random.below(2)));
  }
  Matrix bias = make(random, std::vector{DType::f32, DType::bf16, DType::f16}[random.below(3)], 1, s.N, 0);
  Matrix y = s.alias ? make(random, s.x, s.M, s.N, gap()) : blank(s.x, s.M, s.N, gap()), addend;
  if (s.addend) addend = s.alias ? y : make(random, s.x, s.M, s.N, gap());
  std::vector<Tensor> tensors{bound(y), {}, {}};
  if (s.addend) tensors[1] = s.alias ? (ready(addend), y.tensor) : ready(addend);
  if (s.bias) tensors[2] = ready(bias);
  int64_t total = 0;
  for (size_t p = 0; p < s.K.size(); p++) tensors.push_back(ready(x[p])), tensors.push_back(ready(w[p])), total += s.K[p];

  Call call("product", 1, tensors, {s.alpha, s.trans ? 1.0 : 0.0});
  std::vector<char> before = y.bytes, first;
  for (int threads = 1; threads <= 3; threads++) {
    y.bytes.assign(before.begin(), before.end());
    call.run(pool(threads));
    if (threads == 1) first = y.bytes;
    EXPECT(first == y.bytes, "%d threads give other bits: M %ld N %ld K %ld", threads, s.M, s.N, s.K[0]);
  }
  int wrong = 0;
  for (int64_t i = 0; i < s.M && !wrong; i++) {
    for (int64_t j = i % s.sample; j < s.N && !wrong; j += s.sample) {
      double sum = 0, absolute = 0;
      for (size_t p = 0; p < s.K.size(); p++) {
        for (int64_t k = 0; k < s.K[p]; k++) {
          double weight = s.trans ? w[p].at(k, j) : w[p].at(j, k);
          if (s.x == DType::bf16) weight = toFloat(toBf16(static_cast<float>(weight)));
          sum += x[p].at(i, k) * weight;
          absolute += std::fabs(x[p].at(i, k) * weight);
        }
      }
      double b = s.bias ? bias.at(0, j) : 0, a = s.addend ? addend.at(i, j) : 0;
      sum = sum * s.alpha + b + a;
      absolute = absolute * std::fabs(s.alpha) + std::fabs(b) + std::fabs(a);
      double got = read(y.tensor, i, j);
      if (!(std::fabs(got - sum) <= allowed(absolute, sum, total, s.x))) {
        wrong = 1;
        fail(__FILE__, __LINE__, "y[%ld, %ld] = %g, not %g (M %ld N %ld K %ld parts %zu trans %d x %d w %d)", i, j, got, sum, s.M, s.N, s.K[0],
             s.K.size(), s.trans, static_cast<int>(s.x), static_cast<int>(s.w[0]));
      }
    }
    int64_t end = ((i + 1) * y.tensor.stride) * sizeOf(s.x), from = (i * y.tensor.stride + s.N) * sizeOf(s.x);
    EXPECT(!memcmp(y.bytes.data() + from, before.data() + from, end - from), "written past row %ld: M %ld N %ld", i, s.M, s.N);
  }
}

int64_t size(Random& random) {
  static const int sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  13, 14, 15, 16, 17, 27,  28,  29,
                              31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 96, 100, 127, 128, 129, 200};
  return sizes[random.below(sizeof sizes / sizeof *sizes)];
}

DType any(Random& random) { return std::vector{DType::f32, DType::bf16, DType::f16, DType::nf4}[random.below(4)]; }

Shape randomShape(Random& random) {
  Shape s{size(random), size(random), {}, random.below(2) == 1, random.below(2) == 1, random.below(2) == 1, random.below(2) == 1, {}, {}};
  s.x = random.below(2) ? DType::bf16 : DType::f32;
  for (int p = 1 + random.below(3); p > 0; p--) s.K.push_back(size(random)), s.w.push_back(any(random));
  if (random.below(3) == 0) s.alpha = 0.37;
  return s;
}

void checkWeightGrad(Random& random, int64_t T, int64_t N, int64_t K, DType dtype) {
  auto gap = [&] { return random.below(2) ? random.below(40) : 0; };
  Matrix dY = make(random, dtype, T, N, gap()), x = make(random, dtype, T, K, gap()), dW = make(random, DType::f32, N, K, gap());
  ready(dW);
  double alpha = random.below(2) ? 1 : 0.3;
  Call call("weight_grad", 1, {dW.tensor, ready(dY), ready(x), dW.tensor}, {alpha});
  std::vector<char> before = dW.bytes, first;
  for (int threads = 1; threads <= 3; threads++) {
    dW.bytes.assign(before.begin(), before.end());
    call.run(pool(threads));
    if (threads == 1) first = dW.bytes;
    EXPECT(first == dW.bytes, "%d threads give other bits: T %ld N %ld K %ld", threads, T, N, K);
  }
  for (int64_t i = 0; i < N; i++) {
    for (int64_t j = 0; j < K; j++) {
      double sum = 0, absolute = 0;
      for (int64_t t = 0; t < T; t++) sum += dY.at(t, i) * x.at(t, j), absolute += std::fabs(dY.at(t, i) * x.at(t, j));
      sum = sum * alpha + dW.at(i, j);
      absolute += std::fabs(dW.at(i, j));
      double got = read(dW.tensor, i, j);
      if (!(std::fabs(got - sum) <= allowed(absolute, sum, T, DType::f32))) {
        return fail(__FILE__, __LINE__, "dW[%ld, %ld] = %g, not %g (T %ld N %ld K %ld dtype %d)", i, j, got, sum, T, N, K, static_cast<int>(dtype));
      }
    }
    int64_t end = ((i + 1) * dW.tensor.stride) * 4, from = (i * dW.tensor.stride + K) * 4;
    EXPECT(!memcmp(dW.bytes.data() + from, before.data() + from, end - from), "written past row %ld: N %ld K %ld", i, N, K);
  }
}

}  // namespace

TEST(product_random) {
  Random random(7);
  for (int i = 0; i < 300; i++) checkProduct(randomShape(random), random);
}

// few rows: generation
TEST(product_rows) {
  Random random(8);
  for (int i = 0; i < 150; i++) {
    Shape s = randomShape(random);
    s.M = 1 + i % 9;
    s.trans = i % 5 == 0;
    checkProduct(s, random);
  }
}

// several blocks along every dimension; a result that is written past the caches
TEST(product_large) {
  Random random(9);
  constexpr DType f32 = DType::f32, bf16 = DType::bf16, nf4 = DType::nf4;
  for (DType x : {bf16, f32}) {
    for (bool trans : {false, true}) {
      checkProduct({150, 70, {5003, 16}, trans, true, true, true, x, {bf16, f32}, 1, 7}, random);
      checkProduct({130, 2100, {576, 15}, trans, false, true, false, x, {nf4, f32}, 1, 41}, random);
      checkProduct({700, 16, {2300}, trans, false, false, false, x, {f32}, 0.5, 7}, random);
      checkProduct({1100, 1030, {1700}, trans, true, false, false, x, {x}, 1, 331}, random);
    }
    checkProduct({5, 70, {2300, 9}, false, true, false, false, x, {nf4, f32}}, random);
  }
  checkProduct({260, 65536, {8}, false, true, false, false, bf16, {bf16}, 1, 997}, random);
}

TEST(weight_grad_random) {
  Random random(10);
  for (int i = 0; i < 120; i++) checkWeightGrad(random, size(random), size(random), size(random), i % 2 ? DType::bf16 : DType::f32);
  for (DType dtype : {DType::bf16, DType::f32}) {
    checkWeightGrad(random, 4500, 16, 100, dtype);
    checkWeightGrad(random, 2051, 100, 16, dtype);
    for (int64_t narrow : {1, 8, 16, 33, 64}) {  // the wide side where it lies
      checkWeightGrad(random, 700, narrow, 192, dtype);
      checkWeightGrad(random, 513, 2112, narrow, dtype);
    }
    checkWeightGrad(random, 130, 300, 290, dtype);
  }
}

// NF4 to the bit, whatever the block size and wherever a run begins
TEST(decode_nf4) {
  Random random(11);
  for (int i = 0; i < 60; i++) {
    Matrix m = make(random, DType::nf4, 1 + random.below(9), 1 + random.below(300), 0, i % 2, 32 << random.below(4));
    const Tensor& t = ready(m);
    int64_t row = random.below(static_cast<int>(t.rows)), from = random.below(static_cast<int>(t.cols)), count = t.cols - from;
    std::vector<float> plain(count), rounded(count);
    std::vector<bf16> half(count);
    gemm::decode(t, row, from, count, plain.data(), false);
    gemm::decode(t, row, from, count, rounded.data(), true);
    gemm::decode(t, row, from, count, half.data());
    for (int64_t k = 0; k < count; k++) {
      float value = static_cast<float>(m.at(row, from + k));
      bool same = plain[k] == value && half[k] == toBf16(value) && rounded[k] == toFloat(toBf16(value));
      if (!same) return fail(__FILE__, __LINE__, "element %ld of a row of %ld from %ld on, blocks of %d", k, t.cols, from, m.blocksize);
    }
  }
}

// an abort stops within 100 ms (this one alone would take minutes)
TEST(product_aborts) {
  Random random(12);
  Matrix dY = make(random, DType::f32, 1, 1024, 0), x = make(random, DType::f32, 1, 1024, 0), dW = make(random, DType::f32, 1024, 1024, 0);
  for (Tensor* t : {&bound(dY), &bound(x)}) t->rows = 4 << 20, t->stride = 0;  // the same row again and again
  gemm::Problem problem{{&dY.tensor, 1, true}, {&x.tensor, 1, true}, 1, 1024, 1024, {&bound(dW), nullptr, nullptr, 1}};
  double shortest = 1;
  for (int i = 0; i < 5 && shortest >= 0.1; i++) {  // others may have the processor
    volatile int32_t abort = 0;
    std::chrono::steady_clock::time_point asked;
    std::thread later([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      asked = std::chrono::steady_clock::now();
      abort = 1;
    });
    pool(2).run([](void* p, Worker& worker) { gemm::multiply(*static_cast<gemm::Problem*>(p), worker); }, &problem, &abort);
    later.join();
    shortest = std::min(shortest, std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count());
  }
  EXPECT(shortest < 0.1, "%.0f ms", shortest * 1e3);
}
