// NEFTune's noise by counter-based bits (op.ts defines them): one key a token, one hash a channel, the same on every device.
#include <cmath>
#include "attrs/noise.hpp"
#include "bits.hpp"
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

template <class T>
void add(const Step& step, Worker& worker) {
  const Tensor *in = step.tensors + 1, &y = step.tensors[0], &x = in[0];  // x, row, depth, visibleUntil, stepInts
  const attrs::noise attrs(step);
  const vu channels = (vu)iota();
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    const uint32_t depth = wordAt(in[2], t);
    const uint32_t key = tokenKey({wordAt(in[4], 0, 0), wordAt(in[4], 0, 1), wordAt(in[1], t), depth, attrs.module});
    const double length = static_cast<double>(depth) + wordAt(in[3], t) - t;
    const float size = static_cast<float>(attrs.alpha / std::sqrt(length * x.cols));
    const T* from = static_cast<const T*>(x.data) + t * x.stride;
    T* to = static_cast<T*>(y.data) + t * y.stride;
    auto noisy = [&](int64_t c, vf v) {
      const vu bits = channelBits(channels + static_cast<uint32_t>(c), key);
      const vf epsilon = __builtin_convertvector((vi)(bits >> 8), vf) * 0x1p-23f - 1.0f;
      return v + size * epsilon;
    };
    int64_t c = 0;
    for (; c + W <= x.cols; c += W) storeF(to + c, noisy(c, loadF(from + c)));
    const int rest = static_cast<int>(x.cols - c);
    if (rest) storeFirst(to + c, noisy(c, loadFirst(from + c, rest)), rest);
  }
}

}  // namespace

SAQR_KERNEL(noise) {
  const DType type = step.tensors[0].dtype;
  if (type != step.tensors[1].dtype) return worker.fail("noise: x and y are of one type");
  if (type == DType::f32) add<float>(step, worker);
  else if (type == DType::bf16) add<bf16>(step, worker);
  else worker.fail("noise: x is f32 or bf16");
}
