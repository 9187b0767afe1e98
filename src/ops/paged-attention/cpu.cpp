// Attention over a cache in pages: tokens that follow one another in a text are queries of one pass over its keys (the blocks of a prompt);
// all others are alone, each over its own.
#include <cstring>
#include "attrs/paged-attention.hpp"
#include "../attention/dispatch.hpp"

using namespace saqr;
using namespace saqr::attention;

namespace {

// A text's pages are those of its first token: the tokens of a run have the same.
struct Cache {
  const Tensor &position, &pages;
  int64_t page;
  int32_t at(int64_t t) const { return *(static_cast<const int32_t*>(position.data) + t * position.stride); }
  const int32_t* table(int64_t t) const { return static_cast<const int32_t*>(pages.data) + t * pages.stride; }
  bool follows(int64_t t) const { return at(t) == at(t - 1) + 1 && at(t - 1) >= 0 && !memcmp(table(t), table(t - 1), pages.cols * sizeof(int32_t)); }
  // every key of token t lies in a cache of `rows`
  bool inside(int64_t t, int64_t rows) const {
    if (at(t) < -1 || at(t) >= pages.cols * page) return false;
    for (int64_t n = 0; n * page <= at(t); n++) {
      if (table(t)[n] < 0 || (table(t)[n] + 1) * page > rows) return false;
    }
    return true;
  }
};

Tensor rowsOf(Tensor t, int64_t from, int64_t rows) {
  const size_t size = t.dtype == DType::bf16 ? sizeof(bf16) : sizeof(float);
  t.data = static_cast<char*>(t.data) + from * t.stride * size;
  t.rows = rows;
  return t;
}

void run(const Call& whole, const Cache& cache, Worker& worker) {
  auto part = [&](int64_t from, int64_t rows) {
    Call call = whole;
    call.q = rowsOf(whole.q, from, rows);
    call.o = rowsOf(whole.o, from, rows);
    call.lse = rowsOf(whole.lse, from, rows);
    call.paging.table = cache.table(from);
    call.paging.tables = cache.pages.stride;
    call.paging.position = static_cast<const int32_t*>(cache.position.data) + from * cache.position.stride;
    call.paging.positions = cache.position.stride;
    call.start = cache.at(from);
    call.keys = call.start + rows;
    return call;
  };
  const auto decode = whole.q.dtype == DType::f32 ? decodeF32 : decodeBf16;
  const auto forward = whole.q.dtype == DType::f32 ? forwardF32 : forwardBf16;
  const int64_t rows = whole.q.rows;
  for (int64_t from = 0, alone = 0, to; from < rows && !worker.aborted(); from = to) {
    for (to = from + 1; to < rows && cache.follows(to); to++) {}
    const bool block = to - from > kAlone;
    // those that are alone are taken together: threads share them
    if (block && alone < from) decode(part(alone, from - alone), worker);
    if (block) forward(part(from, to - from), worker), alone = to;
    else if (to == rows) decode(part(alone, rows - alone), worker);
  }
}

}  // namespace

SAQR_KERNEL(paged_attention) {
  const Tensor* t = step.tensors;
  const attrs::paged_attention attrs(step);
  Call call = callOf(attrs, t[2], t[3], t[4], t[0], t[1], nullptr);
  const Cache cache{t[5], t[6], attrs.page};
  call.sinks = t[7];
  call.paging.page = attrs.page;
  const DType type = t[0].dtype;
  Text why = problem(call, type, {t + 2, t + 3, t + 4});
  if (attrs.page < kBlock || attrs.page % kBlock) why = "pages are multiples of 64 keys";
  for (int64_t i = 0; why.empty() && i < call.q.rows; i++) {
    if (!cache.inside(i, call.k.rows)) why = "a page lies outside the cache";
  }
  if (!why.empty()) return worker.fail((Text("paged_attention: ") + why.chars()).chars());
  run(call, cache, worker);
}
