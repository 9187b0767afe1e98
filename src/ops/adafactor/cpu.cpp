// Adafactor of one tensor: moments of rows and columns, the size of the update, the update. Sums are cut by the shape alone.
#include <algorithm>
#include "attrs/adafactor.hpp"
#include "elementwise.hpp"

using namespace saqr;

namespace {

constexpr float kEps = 1e-30f;
constexpr int64_t kChunks = 512, kTile = 64, kBlock = 128;

struct Numbers {
  float lr, clip, keep, gain, decay;  // keep: β, gain: 1 − β
  Numbers(const attrs::adafactor& a, const Tensor& norm, const Tensor& stepFloats) {
    const float* s = static_cast<const float*>(stepFloats.data);
    const double coefficient = s[1] / (static_cast<double>(*static_cast<const float*>(norm.data)) + 1e-6);
    const double rest = std::pow(static_cast<double>(s[2]), -0.8), rate = s[0] * a.rate;
    lr = static_cast<float>(rate);
    clip = s[1] > 0 && !(coefficient > 1) ? static_cast<float>(coefficient) : 1.0f;
    keep = static_cast<float>(1 - rest), gain = static_cast<float>(rest);
    decay = static_cast<float>(1 - rate * a.weightDecay);
  }
};

// 1 where it is 0: lanes past the end
vf root(vf x) {
  const vf y = saqr::sqrt(x);
  return select(y == 0.0f, set1(1.0f), y);
}

// chunk k of n things, of kChunks
Range chunk(int64_t k, int64_t n) {
  const int64_t size = (n + kChunks - 1) / kChunks, from = std::min(k * size, n);
  return {from, std::min(from + size, n)};
}

// 1 / max(1, rms) of an update of n elements whose squares were summed by chunks
float damping(const double* sums, int64_t n) {
  double all = 0;
  for (int64_t k = 0; k < kChunks; k++) all += sums[k];
  return static_cast<float>(1 / std::max(1.0, std::sqrt(all / static_cast<double>(n))));
}

void vector(Worker& worker, const Numbers& s, float* p, float* g, float* v, int64_t n) {
  double* sums = reinterpret_cast<double*>(sharedScratch(worker));
  const Range mine = share(worker, kChunks);
  for (int64_t k = mine.from; k < mine.to; k++) {
    const Range part = chunk(k, n);
    double sum = 0;
    vectors(part.from, part.to, [&](int64_t i, auto lanes) {
      const vf gradient = F32::load(g + i, lanes) * s.clip;
      const vf moment = s.keep * F32::load(v + i, lanes) + s.gain * (gradient * gradient + kEps);
      F32::store(v + i, moment, lanes);
      const vf update = gradient / root(moment);
      sum += static_cast<double>(saqr::sum(update * update));
    });
    sums[k] = sum;
  }
  worker.barrier();
  const float step = s.lr * damping(sums, n);
  for (int64_t k = mine.from; k < mine.to; k++) {
    const Range part = chunk(k, n);
    vectors(part.from, part.to, [&](int64_t i, auto lanes) {
      const vf moment = F32::load(v + i, lanes);
      const vf update = F32::load(g + i, lanes) * s.clip / root(moment);
      F32::store(p + i, F32::load(p + i, lanes) * s.decay - step * update, lanes);
      F32::store(g + i, vf{}, lanes);
    });
  }
}

// columns [from, to) of one matrix: sums of kBlock rows in f32, those in f64
void columnMoments(const Numbers& s, const float* g, float* c, int64_t rows, int64_t cols, Range part) {
  for (int64_t from = part.from; from < part.to; from += kTile) {
    const int64_t n = std::min(kTile, part.to - from);
    double all[kTile] = {};
    for (int64_t top = 0; top < rows; top += kBlock) {
      float block[kTile] = {};
      for (int64_t row = top; row < std::min(rows, top + kBlock); row++) {
        const float* x = g + row * cols + from;
        for (int64_t j = 0; j < n; j++) {
          const float gradient = x[j] * s.clip;
          block[j] += gradient * gradient + kEps;
        }
      }
      for (int64_t j = 0; j < n; j++) all[j] += static_cast<double>(block[j]);
    }
    for (int64_t j = 0; j < n; j++) c[from + j] = s.keep * c[from + j] + s.gain * static_cast<float>(all[j] / static_cast<double>(rows));
  }
}

float mean(const float* r, int64_t rows) {
  double all = 0;
  for (int64_t i = 0; i < rows; i++) all += static_cast<double>(r[i]);
  return static_cast<float>(all / static_cast<double>(rows));
}

void matrices(Worker& worker, const Numbers& s, float* p, float* g, float* state, int64_t count, int64_t rows, int64_t cols) {
  float *r = state, *c = state + count * rows;
  const Range own = share(worker, count * rows);
  for (int64_t i = own.from; i < own.to; i++) {
    const float* x = g + i * cols;
    const float squares = total(cols, [&](int64_t j, auto lanes) {
      const vf gradient = F32::load(x + j, lanes) * s.clip;
      return gradient * gradient;
    });
    r[i] = s.keep * r[i] + s.gain * (squares / static_cast<float>(cols) + kEps);
  }
  for (int64_t m = 0; m < count; m++) columnMoments(s, g + m * rows * cols, c + m * cols, rows, cols, share(worker, cols, kTile));
  worker.barrier();

  double* sums = reinterpret_cast<double*>(sharedScratch(worker));
  float* means = reinterpret_cast<float*>(sums + kChunks);
  const Range whole = share(worker, count);
  for (int64_t m = whole.from; m < whole.to; m++) means[m] = mean(r + m * rows, rows);
  worker.barrier();
  const Range mine = share(worker, kChunks);
  // f(row, what its elements are divided by, but for their column's root)
  const auto eachRow = [&](int64_t k, auto f) {
    const Range part = chunk(k, count * rows);
    for (int64_t i = part.from; i < part.to; i++) f(i, s.clip / std::sqrt(r[i] / means[i / rows]), c + i / rows * cols);
  };
  for (int64_t k = mine.from; k < mine.to; k++) {
    double sum = 0;
    eachRow(k, [&](int64_t i, float factor, const float* column) {
      sum += static_cast<double>(total(cols, [&](int64_t j, auto lanes) {
        const vf update = F32::load(g + i * cols + j, lanes) * factor / root(F32::load(column + j, lanes));
        return update * update;
      }));
    });
    sums[k] = sum;
  }
  worker.barrier();
  const float step = s.lr * damping(sums, count * rows * cols);
  for (int64_t k = mine.from; k < mine.to; k++) {
    eachRow(k, [&](int64_t i, float factor, const float* column) {
      vectors(0, cols, [&](int64_t j, auto lanes) {
        const int64_t at = i * cols + j;
        const vf update = F32::load(g + at, lanes) * factor / root(F32::load(column + j, lanes));
        F32::store(p + at, F32::load(p + at, lanes) * s.decay - step * update, lanes);
        F32::store(g + at, vf{}, lanes);
      });
    });
  }
}

}  // namespace

SAQR_KERNEL(adafactor) {
  const Tensor* t = step.tensors;  // p, g, state; p, g, state, norm, stepFloats
  const bool f32 = std::all_of(t, t + 8, [](const Tensor& x) { return x.dtype == DType::f32; });
  if (!f32) return worker.fail("adafactor takes f32 weights, gradients and state");
  if (!std::isfinite(*static_cast<const float*>(t[6].data))) return;
  const attrs::adafactor a(step);
  const Numbers s(a, t[6], t[7]);
  float *p = rowOf<F32>(t[0], 0), *g = rowOf<F32>(t[1], 0), *state = rowOf<F32>(t[2], 0);
  if (kChunks * sizeof(double) + a.matrices * sizeof(float) > kScratchBytes) return worker.fail("adafactor takes fewer matrices");
  if (a.rows == 0) return vector(worker, s, p, g, state, t[0].cols);
  matrices(worker, s, p, g, state, a.matrices, a.rows, t[0].cols / (a.matrices * a.rows));
}
