// Products and weight gradients of random shapes, dtypes, strides and parts against f64, the same bits for any number of threads.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include "test.hpp"

using namespace saqr;
using namespace saqr::test;

namespace {

// A tensor that owns its memory, with its values in f64. Between the rows of a view stand NaNs: whoever reads them shows it.
struct Matrix {
  Tensor tensor{};
  Quant quant{};
  std::vector<float> codebook, absmax, code2, absmax2;
  std::vector<uint8_t> absmax8;
  std::vector<char> bytes;
  std::vector<double> values;
  double at(int64_t i, int64_t j) const { return values[i * tensor.cols + j]; }
};

size_t sizeOf(DType d) { return d == DType::f32 ? 4 : 2; }

double read(const Tensor& t, int64_t i, int64_t j) {
  int64_t at = i * t.stride + j;
  if (t.dtype == DType::f32) return static_cast<const float*>(t.data)[at];
  uint16_t h = static_cast<const uint16_t*>(t.data)[at];
  return t.dtype == DType::bf16 ? toFloat(h) : halfToFloat(h);
}

uint16_t toHalf(float f) {  // normal numbers are enough here
  uint32_t bits;
  memcpy(&bits, &f, 4);
  int32_t exponent = static_cast<int32_t>(bits >> 23 & 255) - 112;
  return exponent <= 0 ? 0 : static_cast<uint16_t>(bits >> 16 & 0x8000) | static_cast<uint16_t>(exponent << 10) | static_cast<uint16_t>(bits >> 13 & 1023);
}

void makeNf4(Matrix& m, Random& random, bool nested) {
  Tensor& t = m.tensor;
  int64_t count = t.rows * t.cols;
  Quant& q = m.quant;
  q.blocksize = 64;
  q.blocksize2 = 4;
  q.offset = 0.7f;
  int64_t blocks = (count + 63) / 64;
  for (int i = 0; i < 16; i++) m.codebook.push_back(static_cast<float>((i - 7.5) / 7.5 + 0.01 * random.uniform()));
  for (int i = 0; i < 256; i++) m.code2.push_back(static_cast<float>((i - 128) / 128.0));
  for (int64_t i = 0; i < blocks; i++) m.absmax.push_back(static_cast<float>(0.3 + random.uniform())), m.absmax8.push_back(static_cast<uint8_t>(random.below(256)));
  for (int64_t i = 0; i < (blocks + 3) / 4; i++) m.absmax2.push_back(static_cast<float>(0.2 + random.uniform()));
  q.codebook = m.codebook.data();
  q.absmax = nested ? nullptr : m.absmax.data();
  q.absmax8 = nested ? m.absmax8.data() : nullptr;
  q.code2 = m.code2.data();
  q.absmax2 = m.absmax2.data();
  m.bytes.resize((count + 1) / 2);
  for (char& b : m.bytes) b = static_cast<char>(random.below(256));
  for (int64_t i = 0; i < count; i++) {
    uint8_t pair = static_cast<uint8_t>(m.bytes[i / 2]);
    volatile float product = nested ? m.code2[m.absmax8[i / 64]] * m.absmax2[i / 64 / 4] : m.absmax[i / 64];
    volatile float scale = nested ? product + q.offset : product;
    volatile float value = m.codebook[i % 2 ? pair & 15 : pair >> 4] * scale;
    m.values.push_back(value);
  }
}

Matrix make(Random& random, DType dtype, int64_t rows, int64_t cols, int gap, bool nested = false) {
  Matrix m;
  m.tensor = {nullptr, rows, cols, cols + gap, dtype, 0, nullptr};
  if (dtype == DType::nf4) {
    m.tensor.stride = cols;
    makeNf4(m, random, nested);
  } else {
    m.bytes.assign((rows * (cols + gap)) * sizeOf(dtype), static_cast<char>(0xff));  // NaN in every dtype
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < cols; j++) {
        float v = static_cast<float>(2 * random.uniform() - 1);
        char* to = m.bytes.data() + (i * (cols + gap) + j) * sizeOf(dtype);
        uint16_t half = dtype == DType::bf16 ? toBf16(v) : toHalf(v);
        if (dtype == DType::f32) memcpy(to, &v, 4);
        else memcpy(to, &half, 2);
      }
    }
  }
  return m;
}

// the addresses that a moved Matrix has now
Tensor& ready(Matrix& m) {
  m.tensor.data = m.bytes.data();
  m.tensor.quant = m.tensor.dtype == DType::nf4 ? &m.quant : nullptr;
  if (m.tensor.dtype != DType::nf4 && m.values.empty()) {
    for (int64_t i = 0; i < m.tensor.rows; i++) {
      for (int64_t j = 0; j < m.tensor.cols; j++) m.values.push_back(read(m.tensor, i, j));
    }
  }
  return m.tensor;
}

struct Shape {
  int64_t M, N;
  std::vector<int64_t> K;
  bool trans, bias, addend, alias;
  DType x;
  std::vector<DType> w;
  double alpha;
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
  Matrix y = make(random, s.x, s.M, s.N, gap());
  Matrix addend = s.alias ? y : make(random, s.x, s.M, s.N, gap());
  std::vector<Tensor> tensors{ready(y), {}, {}};
  ready(addend);
  if (s.addend) tensors[1] = s.alias ? y.tensor : addend.tensor;
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
    for (int64_t j = 0; j < s.N && !wrong; j++) {
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
        fail(__FILE__, __LINE__, "y[%ld, %ld] = %g, not %g (M %ld N %ld K %ld parts %zu trans %d x %d w %d)", i, j, got, sum, s.M, s.N, s.K[0], s.K.size(), s.trans,
             static_cast<int>(s.x), static_cast<int>(s.w[0]));
      }
    }
    int64_t end = ((i + 1) * y.tensor.stride) * sizeOf(s.x), from = (i * y.tensor.stride + s.N) * sizeOf(s.x);
    EXPECT(!memcmp(y.bytes.data() + from, before.data() + from, end - from), "written past row %ld: M %ld N %ld", i, s.M, s.N);
  }
}

int64_t size(Random& random) {
  static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 27, 28, 29, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 96, 100, 127, 128, 129, 200};
  return sizes[random.below(sizeof sizes / sizeof *sizes)];
}

DType any(Random& random) { return std::vector{DType::f32, DType::bf16, DType::f16, DType::nf4}[random.below(4)]; }

Shape randomShape(Random& random) {
  Shape s{size(random), size(random), {}, random.below(2) == 1, random.below(2) == 1, random.below(2) == 1, random.below(2) == 1, {}, {}, 1};
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

// several blocks along every dimension
TEST(product_large) {
  Random random(9);
  for (DType x : {DType::bf16, DType::f32}) {
    for (bool trans : {false, true}) {
      checkProduct({150, 70, {5003, 16}, trans, true, true, true, x, {DType::bf16, DType::f32}, 1}, random);
      checkProduct({130, 1100, {576, 15}, trans, false, true, false, x, {DType::nf4, DType::f32}, 1}, random);
      checkProduct({700, 16, {2300}, trans, false, false, false, x, {DType::f32}, 0.5}, random);
    }
  }
}

TEST(weight_grad_random) {
  Random random(10);
  for (int i = 0; i < 120; i++) checkWeightGrad(random, size(random), size(random), size(random), i % 2 ? DType::bf16 : DType::f32);
  for (DType dtype : {DType::bf16, DType::f32}) {
    checkWeightGrad(random, 4500, 16, 100, dtype);
    checkWeightGrad(random, 2051, 100, 16, dtype);
    checkWeightGrad(random, 130, 300, 290, dtype);
  }
}

namespace {
struct Speed {
  const char* what;
  int64_t M, N, K;
  bool trans;
  DType w;
  int64_t rank;  // of a second part, 0: none
};

void report(const char* what, DType x, double flops, double seconds) {
  double limit = test::limit(kBf16Dot && x == DType::bf16), rate = flops / seconds * 1e-9;
  printf("%-44s %-4s %7.1f GFLOP/s  %5.1f %%  %9.1f us\n", what, x == DType::bf16 ? "bf16" : "f32", rate, 100 * rate / limit, seconds * 1e6);
}

void speed(const Speed& s, DType x, int threads) {
  Random random(3);
  Matrix a = make(random, x, s.M, s.K, 0), b = make(random, s.w == DType::bf16 ? x : s.w, s.trans ? s.K : s.N, s.trans ? s.N : s.K, 0, true);
  Matrix u = make(random, x, s.M, std::max<int64_t>(s.rank, 1), 0), up = make(random, DType::f32, s.trans ? s.rank : s.N, s.trans ? s.N : s.rank, 0);
  Matrix y = make(random, x, s.M, s.N, 0);
  auto bind = [](Matrix& m) {
    m.tensor.data = m.bytes.data();
    if (m.tensor.dtype == DType::nf4) m.tensor.quant = &m.quant;
    return m.tensor;
  };
  std::vector<Tensor> tensors{bind(y), {}, {}, bind(a), bind(b)};
  if (s.rank) tensors.push_back(bind(u)), tensors.push_back(bind(up));
  Call call("product", 1, tensors, {1, s.trans ? 1.0 : 0.0});
  char name[99];
  snprintf(name, sizeof name, "%s %ld x %ld x %ld%s%s", s.what, s.M, s.N, s.K, s.rank ? " + rank 16" : "", threads == 1 ? ", 1 thread" : "");
  double flops = 2.0 * s.M * s.N * (s.K + s.rank);
  report(name, x, flops, call.seconds(pool(threads), flops > 2e10 ? 3 : 12));
}
}  // namespace

BENCH(speed_product) {
  constexpr DType b = DType::bf16, f = DType::f32, q = DType::nf4;
  static const Speed list[] = {
      {"forward", 2048, 576, 576, false, b, 0},  {"forward", 2048, 1536, 576, false, b, 0}, {"forward", 2048, 576, 1536, false, b, 0},
      {"forward", 2048, 192, 576, false, b, 0},  {"forward", 2048, 1536, 576, false, b, 16}, {"forward", 2048, 2048, 2048, false, b, 0},
      {"forward", 512, 1536, 576, false, b, 0},  {"trans", 2048, 576, 576, true, b, 0},     {"trans", 2048, 576, 1536, true, b, 0},
      {"trans", 2048, 1536, 576, true, b, 16},   {"trans", 2048, 576, 192, true, b, 0},     {"nf4", 2048, 1536, 576, false, q, 0},
      {"nf4", 2048, 576, 1536, false, q, 16},    {"nf4", 2048, 576, 576, false, q, 0},      {"nf4 trans", 2048, 576, 1536, true, q, 0},
      {"x A'", 2048, 16, 576, false, f, 0},      {"x A'", 2048, 16, 1536, false, f, 0},     {"dy B", 2048, 16, 576, true, f, 0},
      {"dy B", 2048, 16, 1536, true, f, 0},      {"u B'", 2048, 576, 16, false, f, 0},      {"lm_head", 1024, 49152, 576, false, b, 0},
      {"lm_head trans", 1024, 576, 49152, true, b, 0},
  };
  for (DType x : {b, f}) {
    for (const Speed& s : list) speed(s, x, 2);
  }
}

BENCH(speed_rows) {
  for (DType w : {DType::bf16, DType::f16, DType::nf4}) {
    for (int64_t m : {1, 2, 4, 8}) {
      int64_t N = 49152, K = 576;
      Random random(3);
      Matrix x = make(random, DType::bf16, m, K, 0), b = make(random, w, N, K, 0, true), y = make(random, DType::bf16, m, N, 0);
      ready(x), ready(y);
      b.tensor.data = b.bytes.data();
      b.tensor.quant = w == DType::nf4 ? &b.quant : nullptr;
      Call call("product", 1, {y.tensor, {}, {}, x.tensor, b.tensor}, {1, 0});
      double s = call.seconds(pool(2), 10);
      printf("rows %ld, w %-4s %6.1f GB/s of weights  %8.1f us\n", m, w == DType::bf16 ? "bf16" : w == DType::f16 ? "f16" : "nf4", b.bytes.size() / s * 1e-9, s * 1e6);
    }
  }
}

BENCH(speed_weight_grad) {
  const int64_t list[][3] = {{2048, 576, 576}, {2048, 1536, 576}, {2048, 576, 1536}, {2048, 16, 576}, {2048, 16, 1536}, {2048, 576, 16}, {2048, 1536, 16}, {512, 16, 576}};
  for (DType x : {DType::bf16, DType::f32}) {
    for (auto [T, N, K] : list) {
      Random random(3);
      Matrix dY = make(random, x, T, N, 0), a = make(random, x, T, K, 0), dW = make(random, DType::f32, N, K, 0);
      dY.tensor.data = dY.bytes.data(), a.tensor.data = a.bytes.data(), dW.tensor.data = dW.bytes.data();
      Call call("weight_grad", 1, {dW.tensor, dY.tensor, a.tensor, dW.tensor}, {1});
      char name[99];
      snprintf(name, sizeof name, "weight_grad %ld x %ld over %ld", N, K, T);
      report(name, x, 2.0 * T * N * K, call.seconds(pool(2), 12));
    }
  }
}
