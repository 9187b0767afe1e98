// Dropout by counter-based bits (op.ts defines them): one key a token, one hash a channel, the same on every device.
#include <cmath>
#include "attrs/dropout.hpp"
#include "bits.hpp"
#include "saqr.hpp"
#include "simd.hpp"

using namespace saqr;

namespace {

template <class T>
void drop(const Step& step, Worker& worker) {
  const Tensor &y = step.tensors[0], &x = step.tensors[1], &row = step.tensors[2], &depth = step.tensors[3], &stepInts = step.tensors[4];
  const attrs::dropout attrs(step);
  const double p = attrs.p;
  const uint32_t module = attrs.module;
  // kept when bits >= p · 2³², that is when bits > limit; p < 2⁻³² keeps all, p = 1 none
  const double least = std::ceil(p * 4294967296.0);
  const bool all = least <= 0, none = least > 4294967295.0;
  const uint32_t limit = all || none ? 0 : static_cast<uint32_t>(least) - 1;
  const float scale = static_cast<float>(1 / (1 - p));
  const vu channels = (vu)iota();
  const Range rows = share(worker, x.rows);
  for (int64_t t = rows.from; t < rows.to && !worker.aborted(); t++) {
    const uint32_t key = tokenKey({wordAt(stepInts, 0, 0), wordAt(stepInts, 0, 1), wordAt(row, t), wordAt(depth, t), module});
    const T* from = static_cast<const T*>(x.data) + t * x.stride;
    T* to = static_cast<T*>(y.data) + t * y.stride;
    auto masked = [&](int64_t c, vf v) {
      const vu bits = channelBits(channels + static_cast<uint32_t>(c), key);
      const vi kept = all ? ~vi{} : none ? vi{} : (vi)(bits > limit);
      return select(kept, v * scale, vf{});
    };
    int64_t c = 0;
    for (; c + W <= x.cols; c += W) storeF(to + c, masked(c, loadF(from + c)));
    const int rest = static_cast<int>(x.cols - c);
    if (rest) storeFirst(to + c, masked(c, loadFirst(from + c, rest)), rest);
  }
}

}  // namespace

SAQR_KERNEL(dropout) {
  const DType type = step.tensors[0].dtype;
  if (type != step.tensors[1].dtype) return worker.fail("dropout: x and y are of one type");
  if (type == DType::f32) drop<float>(step, worker);
  else if (type == DType::bf16) drop<bf16>(step, worker);
  else worker.fail("dropout: x is f32 or bf16");
}
