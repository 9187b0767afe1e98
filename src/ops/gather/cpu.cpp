// Rows of a pass into the head's chunk and back, byte for byte: any type of 2 or 4 bytes.
#include "attrs/gather.hpp"
#include "elementwise.hpp"

using namespace saqr;

// The chunk's rows that have a head position, and which row of the pass each is.
struct Chunk {
  const Tensor& positions;
  int64_t first, filled;
  Chunk(const Tensor* inputs, int64_t rows) : positions(inputs[0]), first(*static_cast<const int32_t*>(inputs[1].data)) {
    const int64_t left = *static_cast<const int32_t*>(inputs[2].data) - first;
    filled = left < 0 ? 0 : left < rows ? left : rows;
  }
  int64_t row(int64_t i) const { return *(static_cast<const int32_t*>(positions.data) + (first + i) * positions.stride); }
  bool inside(int64_t rows) const {
    if (first < 0 || first + filled > positions.rows) return false;
    for (int64_t i = 0; i < filled; i++) {
      if (row(i) < 0 || row(i) >= rows) return false;
    }
    return true;
  }
};

static SAQR_INLINE char* at(const Tensor& t, int64_t row, size_t size) { return static_cast<char*>(t.data) + row * t.stride * size; }

SAQR_KERNEL(gather) {
  const Tensor &y = step.tensors[0], &h = step.tensors[1];
  const size_t size = elementBytes(h.dtype);
  if (!size || y.dtype != h.dtype) return worker.fail("gather takes f32, bf16, f16 or i32, one for both");
  const Chunk chunk(step.tensors + 2, y.rows);
  if (!chunk.inside(h.rows)) return worker.fail("gather takes head positions of its pass: one lies outside");
  const Range part = share(worker, y.rows);
  for (int64_t i = part.from; i < part.to; i++) {
    if (i < chunk.filled) memcpy(at(y, i, size), at(h, chunk.row(i), size), y.cols * size);
    else memset(at(y, i, size), 0, y.cols * size);
  }
}
SAQR_KERNEL(scatter) {
  const Tensor &dH = step.tensors[0], &d = step.tensors[1];
  const size_t size = elementBytes(d.dtype);
  if (!size || dH.dtype != d.dtype) return worker.fail("scatter takes f32, bf16, f16 or i32, one for both");
  const Chunk chunk(step.tensors + 2, d.rows);
  if (!chunk.inside(dH.rows)) return worker.fail("scatter takes head positions of its pass: one lies outside");
  const Range part = share(worker, chunk.filled);
  for (int64_t i = part.from; i < part.to; i++) memcpy(at(dH, chunk.row(i), size), at(d, i, size), d.cols * size);
}
// Rows of the result are shared out; each sums its own head positions, which lie side by side.
template <class E>
static void weightedScatter(const Step& step, Worker& worker) {
  const Tensor &dH = step.tensors[0], &d = step.tensors[1], &positions = step.tensors[2], &weights = step.tensors[4];
  const int64_t count = *static_cast<const int32_t*>(step.tensors[3].data), cols = dH.cols;
  auto position = [&](int64_t i) -> int64_t { return static_cast<const int32_t*>(positions.data)[i * positions.stride]; };
  if (count < 0 || count > d.rows || count > positions.rows || (weights.data && count > weights.rows) || (count > 0 && (position(0) < 0 || position(count - 1) >= dH.rows)))
    return worker.fail("weighted_scatter takes head positions of its pass: one lies outside");
  const Range rows = share(worker, dH.rows);
  int64_t i = 0;
  for (int64_t left = count; left > 0;) {  // the first head position in this share
    const int64_t half = left / 2;
    if (position(i + half) < rows.from) i += half + 1, left -= half + 1;
    else left = half;
  }
  for (int64_t row = rows.from; row < rows.to; row++) {
    auto* out = rowOf<E>(dH, row);
    const int64_t from = i;
    while (i < count && position(i) == row) i++;
    vectors(0, cols, [&](int64_t c, auto n) {
      vf sum{};
      for (int64_t k = from; k < i; k++) sum += E::load(rowOf<E>(d, k) + c, n) * (weights.data ? static_cast<const float*>(weights.data)[k * weights.stride] : 1.0f);
      E::store(out + c, sum, n);
    });
  }
}
SAQR_KERNEL(weighted_scatter) {
  const Tensor* t = step.tensors;
  bool taken = sameType({t, t + 1}) && withType<F32, BF16>(t[0].dtype, [&](auto e) { weightedScatter<decltype(e)>(step, worker); });
  if (!taken) worker.fail("weighted_scatter takes f32 or bf16, one for both");
}
SAQR_KERNEL(zeros) {
  const Tensor& y = step.tensors[0];
  const size_t size = elementBytes(y.dtype);
  if (!size) return worker.fail("zeros takes f32, bf16, f16 or i32");
  eachRun(worker, {&y}, [&](int64_t row, int64_t from, int64_t to) { memset(at(y, row, size) + from * size, 0, (to - from) * size); });
}
SAQR_KERNEL(advance) {
  if (step.tensors[0].dtype != DType::i32) return worker.fail("advance takes an i32 cursor");
  if (worker.id == 0) *static_cast<int32_t*>(step.tensors[0].data) = *static_cast<const int32_t*>(step.tensors[1].data) + static_cast<int32_t>(attrs::advance(step).by);
}
