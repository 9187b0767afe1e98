// Speed of attention in visible pairs: 4 · pairs · headDim FLOPs forward, 10 backward; the share of what two threads can do.
#include "attention.hpp"

using namespace saqr;
using namespace saqr::test;

namespace {

void report(const std::string& name, const char* kind, const char* what, double flops, const Call& call, DType type) {
  const int unit = type == DType::bf16 && kBf16Dot ? 1 : 0;
  const double two = call.seconds(pool(2), 25), one = call.processorSeconds(9), limit2 = limit(unit, 2), limit1 = limit(unit, 1);
  printf("%-26s %s %s 2 threads %8.3f ms %6.1f GFLOP/s %5.1f %% of %.0f; 1 thread %8.3f ms %6.1f GFLOP/s %5.1f %% of %.0f\n", name.c_str(), kind, what, two * 1e3,
         flops / two * 1e-9, flops / two * 1e-7 / limit2, limit2, one * 1e3, flops / one * 1e-9, flops / one * 1e-7 / limit1, limit1);
}

void measure(const Problem& p, DType type) {
  const int T = p.rows(), S = p.keys(), width = p.heads * p.headDim, narrow = p.kvHeads * p.headDim;
  Random random(7);
  Data q(T, width, type), k(S, narrow, type), v(S, narrow, type), o(T, width, type), dO(T, width, type), dq(T, width, type), dk(S, narrow, type), dv(S, narrow, type);
  Data lse(T, p.heads, DType::f32);
  for (Data* d : {&q, &k, &v, &dO}) d->random(random, 1);
  MaskOf mask = p.mask;
  auto ints = [](std::vector<int32_t>& values) { return Tensor{values.data(), int64_t(values.size()), 1, 1, DType::i32, 0, nullptr}; };
  std::vector<int32_t> start{p.start};
  Tensor startT = ints(start);
  if (p.start < 0) startT.data = nullptr;
  const std::vector<double> attrs{double(p.heads), double(p.kvHeads), double(p.headDim), 1 / std::sqrt(double(p.headDim)), double(p.window)};
  const Call forward("attention", 2, {o.tensor(), lse.tensor(), q.tensor(), k.tensor(), v.tensor(), ints(mask.from), ints(mask.until), ints(mask.depth), startT}, attrs);
  const char* kind = type == DType::f32 ? "f32 " : "bf16";
  const double flops = 4 * p.pairs() * p.headDim;
  if (T == 1) {
    const double two = forward.seconds(pool(2), 50), one = forward.processorSeconds(20), bytes = 2.0 * S * narrow * static_cast<double>(q.size());
    printf("%-26s %s decode   2 threads %8.3f ms, %5.1f GB/s of the cache; 1 thread %8.3f ms, %5.1f GB/s\n", p.name.c_str(), kind, two * 1e3, bytes / two * 1e-9, one * 1e3,
           bytes / one * 1e-9);
    return;
  }
  report(p.name, kind, "forward ", flops, forward, type);
  const Call backward("attention_backward", 3,
                      {dq.tensor(), dk.tensor(), dv.tensor(), dO.tensor(), o.tensor(), lse.tensor(), q.tensor(), k.tensor(), v.tensor(), ints(mask.from), ints(mask.until),
                       ints(mask.depth)},
                      attrs);
  report(p.name, kind, "backward", 2.5 * flops, backward, type);
}

MaskOf windows(int count, int length) {
  MaskOf mask;
  for (int i = 0; i < count; i++) mask.row(length);
  return mask;
}
const std::vector<int> kRows{201, 188, 230, 97, 312, 154, 240, 178, 265, 145};  // about 200 tokens, 2,010 in all
MaskOf realRows() {
  MaskOf mask;
  for (int length : kRows) mask.row(length);
  return mask.pads(38);
}
MaskOf sharedRows() {
  std::vector<int> rest;
  for (int length : kRows) rest.push_back(length - 32);
  return MaskOf().shared(32, rest);
}

}  // namespace

BENCH(attention_smollm2) {
  for (DType type : {DType::bf16, DType::f32}) {
    measure({"SmolLM2-135M 4 x 512", 9, 3, 64, windows(4, 512)}, type);
    measure({"SmolLM2-135M rows of 200", 9, 3, 64, realRows()}, type);
    measure({"SmolLM2-135M shared 32", 9, 3, 64, sharedRows()}, type);
    measure({"SmolLM2-135M 1 x 2048", 9, 3, 64, windows(1, 2048)}, type);
  }
}
BENCH(attention_others) {
  measure({"Llama-3.1-8B 1 x 1024", 32, 8, 128, windows(1, 1024)}, DType::bf16);
  measure({"Qwen2.5-0.5B 4 x 512", 14, 2, 64, windows(4, 512)}, DType::bf16);
  measure({"Llama-2 heads 1 x 1024", 8, 8, 128, windows(1, 1024)}, DType::bf16);
  measure({"window 256 in 2048", 8, 2, 128, windows(1, 2048), 256}, DType::bf16);
}
BENCH(attention_decode) {
  for (DType type : {DType::bf16, DType::f32}) {
    measure({"SmolLM2-135M at 2048", 9, 3, 64, windows(1, 2049), 0, 2048, 1}, type);
    measure({"Llama-3.1-8B at 4096", 32, 8, 128, windows(1, 4097), 0, 4096, 1}, type);
  }
}
