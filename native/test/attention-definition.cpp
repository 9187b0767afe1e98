// Attention by its definition, f64, one query after another.
#include "attention.hpp"

namespace saqr::test {

static Exact dense(const Data& x) {
  Exact values(size_t(x.rows) * x.cols);
  for (int i = 0; i < x.rows; i++) {
    for (int c = 0; c < x.cols; c++) values[size_t(i) * x.cols + c] = x.get(i, c);
  }
  return values;
}
static double dot(const double* a, const double* b, int n) {
  double sum = 0;
  for (int c = 0; c < n; c++) sum += a[c] * b[c];
  return sum;
}
static void add(double* to, double factor, const double* x, int n) {
  for (int c = 0; c < n; c++) to[c] += factor * x[c];
}

Definition define(const Problem& p, const Data& qData, const Data& kData, const Data& vData, const Data* dOData, const Data* oData) {
  const int T = p.rows(), S = p.keys(), D = p.headDim, width = p.heads * D, narrow = p.kvHeads * D;
  const Exact q = dense(qData), k = dense(kData), v = dense(vData), dO = dOData ? dense(*dOData) : Exact(), o = dOData ? dense(*oData) : Exact();
  Definition r;
  r.o.assign(size_t(T) * width, 0);
  r.lse.assign(size_t(T) * p.heads, -INFINITY);
  r.dq.assign(size_t(T) * width, 0);
  r.dk.assign(size_t(S) * narrow, 0);
  r.dv.assign(size_t(S) * narrow, 0);
  const double scale = 1 / std::sqrt(double(D));
  std::vector<double> scores(S);
  std::vector<int> keys;
  for (int i = 0; i < T; i++) {
    keys.clear();
    for (int j = 0; j < S; j++) {
      if (p.sees(i, j)) keys.push_back(j);
    }
    if (keys.empty()) continue;
    for (int h = 0; h < p.heads; h++) {
      const size_t at = size_t(i) * width + h * D, kvHead = h / (p.heads / p.kvHeads) * D;
      double top = -INFINITY, total = 0;
      for (int j : keys) top = std::max(top, scores[j] = scale * dot(&q[at], &k[size_t(j) * narrow + kvHead], D));
      for (int j : keys) total += std::exp(scores[j] - top);
      const double lse = r.lse[size_t(i) * p.heads + h] = top + std::log(total);
      const double delta = dOData ? dot(&dO[at], &o[at], D) : 0;
      for (int j : keys) {
        const size_t kvAt = size_t(j) * narrow + kvHead;
        const double w = std::exp(scores[j] - lse);
        add(&r.o[at], w, &v[kvAt], D);
        if (!dOData) continue;
        const double ds = w * (dot(&dO[at], &v[kvAt], D) - delta) * scale;
        add(&r.dq[at], ds, &k[kvAt], D);
        add(&r.dk[kvAt], ds, &q[at], D);
        add(&r.dv[kvAt], w, &dO[at], D);
      }
    }
  }
  return r;
}

}  // namespace saqr::test
