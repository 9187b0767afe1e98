// Rotary position embedding: angles in f64 (a position of 100,000 times a frequency has no exact f32), rotations in f32.
#include <algorithm>
#include <cmath>
#include "attrs/rope.hpp"
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

SAQR_KERNEL(rope_table) {
  const Tensor &table = step.tensors[0], &position = step.tensors[1], &invFreq = step.tensors[2], &isLong = step.tensors[3];
  const double factor = attrs::rope_table(step).attentionFactor;
  const int64_t half = invFreq.cols;
  const auto* shortFrequency = static_cast<const float*>(invFreq.data);
  const auto* longFrequency = static_cast<const float*>(step.tensors[4].data);
  const auto* marks = static_cast<const int32_t*>(isLong.data);
  const Range rows = share(worker, table.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    const double at = static_cast<const int32_t*>(position.data)[t * position.stride];
    const float* frequency = marks && marks[t * isLong.stride] ? longFrequency : shortFrequency;
    float* to = static_cast<float*>(table.data) + t * table.stride;
    for (int64_t i = 0; i < half; i++) {
      const double angle = at * static_cast<double>(frequency[i]);
      to[i] = static_cast<float>(std::cos(angle) * factor);
      to[half + i] = static_cast<float>(std::sin(angle) * factor);
    }
  }
}

namespace {


// pairs (i, i + rotaryDim / 2) of one head; y may be x
template <class T>
SAQR_INLINE void rotateHalves(T* y, const T* x, const float* cosine, const float* sine, int64_t half, float sign) {
  auto part = [&](int64_t i, auto get, auto put) {
    const vf a = get(x + i), b = get(x + half + i), c = get(cosine + i), s = get(sine + i) * sign;
    put(y + i, a * c - b * s);
    put(y + half + i, b * c + a * s);
  };
  int64_t i = 0;
  for (; i + W <= half; i += W) part(i, [](auto* p) { return loadF(p); }, [](T* p, vf v) { storeF(p, v); });
  const int rest = static_cast<int>(half - i);
  if (rest) part(i, [=](auto* p) { return loadFirst(p, rest); }, [=](T* p, vf v) { storeFirst(p, v, rest); });
}

using vl = uint64_t __attribute__((vector_size(W * 4)));
SAQR_INLINE vf swapPairs(vf v) { return (vf)((vl)v << 32 | (vl)v >> 32); }

// Pairs (2i, 2i + 1): y = x · cosines + (neighbour of x) · sines, both (rotaryDim) for the channels as they lie
template <class T>
SAQR_INLINE void rotatePairs(T* y, const T* x, const float* cosines, const float* sines, int64_t channels) {
  int64_t i = 0;
  for (; i + W <= channels; i += W) {
    const vf v = loadF(x + i);
    storeF(y + i, v * load(cosines + i) + swapPairs(v) * load(sines + i));
  }
  const int rest = static_cast<int>(channels - i);
  if (!rest) return;
  const vf v = loadFirst(x + i, rest);
  storeFirst(y + i, v * loadFirst(cosines + i, rest) + swapPairs(v) * loadFirst(sines + i, rest), rest);
}

template <class T>
void rotate(const Step& step, Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1], &table = step.tensors[2];
  const attrs::rope attrs(step);
  const int64_t headDim = attrs.headDim, rotaryDim = attrs.rotaryDim, half = rotaryDim / 2, begin = attrs.from, end = begin + rotaryDim;
  const bool interleaved = attrs.interleaved;
  const float sign = static_cast<float>(attrs.sign);
  float* spread = reinterpret_cast<float*>(worker.scratch);  // a token's cosines and sines at the channels of their pairs
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    const T* from = static_cast<const T*>(x.data) + t * x.stride;
    T* to = static_cast<T*>(y.data) + t * y.stride;
    const float *cosine = static_cast<const float*>(table.data) + t * table.stride, *sine = cosine + half;
    for (int64_t i = 0; interleaved && i < rotaryDim; i++) {
      spread[i] = cosine[i / 2];
      spread[rotaryDim + i] = i % 2 ? sine[i / 2] * sign : -sine[i / 2] * sign;
    }
    for (int64_t head = 0; head < x.cols; head += headDim) {
      if (interleaved) rotatePairs(to + head + begin, from + head + begin, spread, spread + rotaryDim, rotaryDim);
      else rotateHalves(to + head + begin, from + head + begin, cosine, sine, half, sign);
      if (to == from) continue;
      std::copy(from + head, from + head + begin, to + head);
      std::copy(from + head + end, from + head + headDim, to + head + end);
    }
  }
}

}  // namespace

SAQR_KERNEL(rope) {
  const DType type = step.tensors[0].dtype;
  if (type != step.tensors[1].dtype) return worker.fail("rope: x and y are of one type");
  if (type == DType::f32) rotate<float>(step, worker);
  else if (type == DType::bf16) rotate<bf16>(step, worker);
  else worker.fail("rope: x is f32 or bf16");
}
