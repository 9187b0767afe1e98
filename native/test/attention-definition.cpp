// Attention by its definition, f64, one query after another.
#include "attention.hpp"

namespace saqr::test {

static double dot(const Data& a, int i, int aFrom, const Data& b, int j, int bFrom, int n) {
  double sum = 0;
  for (int c = 0; c < n; c++) sum += a.get(i, aFrom + c) * b.get(j, bFrom + c);
  return sum;
}

Definition define(const Problem& p, const Data& q, const Data& k, const Data& v, const Data* dO, const Data* o) {
  const int T = p.rows(), S = p.keys(), D = p.headDim, width = p.heads * D, narrow = p.kvHeads * D;
  Definition r;
  r.o.assign(size_t(T) * width, 0);
  r.lse.assign(size_t(T) * p.heads, -INFINITY);
  r.dq.assign(size_t(T) * width, 0);
  r.dk.assign(size_t(S) * narrow, 0);
  r.dv.assign(size_t(S) * narrow, 0);
  const double scale = 1 / std::sqrt(double(D));
  std::vector<double> scores(S);
  for (int h = 0; h < p.heads; h++) {
    const int at = h * D, kvAt = h / (p.heads / p.kvHeads) * D;
    for (int i = 0; i < T; i++) {
      double top = -INFINITY, total = 0;
      for (int j = 0; j < S; j++) {
        if (p.sees(i, j)) top = std::max(top, scores[j] = scale * dot(q, i, at, k, j, kvAt, D));
      }
      for (int j = 0; j < S; j++) total += p.sees(i, j) ? std::exp(scores[j] - top) : 0;
      if (total == 0) continue;
      const double lse = r.lse[size_t(i) * p.heads + h] = top + std::log(total);
      const double delta = dO ? dot(*dO, i, at, *o, i, at, D) : 0;
      for (int j = 0; j < S; j++) {
        if (!p.sees(i, j)) continue;
        const double w = std::exp(scores[j] - lse);
        for (int c = 0; c < D; c++) r.o[size_t(i) * width + at + c] += w * v.get(j, kvAt + c);
        if (!dO) continue;
        const double ds = w * (dot(*dO, i, at, v, j, kvAt, D) - delta) * scale;
        for (int c = 0; c < D; c++) {
          r.dq[size_t(i) * width + at + c] += ds * k.get(j, kvAt + c);
          r.dk[size_t(j) * narrow + kvAt + c] += ds * q.get(i, at + c);
          r.dv[size_t(j) * narrow + kvAt + c] += w * dO->get(i, at + c);
        }
      }
    }
  }
  return r;
}

}  // namespace saqr::test
