// GFLOP/s of products and weight gradients, and their share of the probes (register-only multiply-adds); weights' GB/s for few rows.
#include <algorithm>
#include "gemm-matrix.hpp"

using namespace saqr;
using namespace saqr::test;

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
  std::vector<Tensor> tensors{bound(y), {}, {}, bound(a), bound(b)};
  if (s.rank) tensors.push_back(bound(u)), tensors.push_back(bound(up));
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
      Call call("product", 1, {bound(y), {}, {}, bound(x), bound(b)}, {1, 0});
      double s = call.seconds(pool(2), 10);
      const char* name = w == DType::bf16 ? "bf16" : w == DType::f16 ? "f16" : "nf4";
      printf("rows %ld, w %-4s %6.1f GB/s of weights  %8.1f us\n", m, name, b.bytes.size() / s * 1e-9, s * 1e6);
    }
  }
}

BENCH(speed_weight_grad) {
  const int64_t list[][3] = {{2048, 576, 576}, {2048, 1536, 576}, {2048, 576, 1536}, {2048, 16, 576},
                             {2048, 16, 1536}, {2048, 576, 16},   {2048, 1536, 16},  {512, 16, 576}};
  for (DType x : {DType::bf16, DType::f32}) {
    for (auto [T, N, K] : list) {
      Random random(3);
      Matrix dY = make(random, x, T, N, 0), a = make(random, x, T, K, 0), dW = make(random, DType::f32, N, K, 0);
      Call call("weight_grad", 1, {bound(dW), bound(dY), bound(a), dW.tensor}, {1});
      char name[99];
      snprintf(name, sizeof name, "weight_grad %ld x %ld over %ld", N, K, T);
      report(name, x, 2.0 * T * N * K, call.seconds(pool(2), 12));
    }
  }
}
