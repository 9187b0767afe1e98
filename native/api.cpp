// The C interface that devices/cpu calls.
#include <cerrno>
#include <cstring>
#include "attrs/abi.hpp"
#include "digest.hpp"
#include "gemm-pack.hpp"
#include "ggml-blocks.hpp"
#include "ggml-values.hpp"
#include "low-rank.hpp"
#include "memory.hpp"
#include "plan.hpp"
#include "pool.hpp"
#include "probe.hpp"
#include "processor.hpp"
#include "quantise.hpp"
#include "system.hpp"
#include "text-tables.hpp"

using namespace saqr;

#define SAQR_API extern "C" SAQR_EXPORT
#ifndef SAQR_VARIANT
#define SAQR_VARIANT "custom"
#endif

static Text lastError;  // of the last call that failed; runs, which go on other threads, leave theirs with the pool

struct Item {
  const Plan* plan;
  int32_t from, to;  // steps [from, to)
  double* seconds;   // null, or the time of each step is added at its index
};
struct Control {
  volatile int32_t abort, item, step;  // item and step: where the run is
  int32_t status;                      // 0 done, 1 aborted, 2 error
};

SAQR_API int saqr_abi() { return kAbi; }
SAQR_API const char* saqr_variant() { return SAQR_VARIANT; }
SAQR_API const char* saqr_refusal() { return refusal(); }  // null, or why this process can't run the library
SAQR_API int saqr_kernel(const char* name) { return kernelIndex(name); }
SAQR_API int saqr_quick_in_blocks(int dtype) { return gemm::quickInBlocks(static_cast<DType>(dtype)); }
SAQR_API const char* saqr_last_error() { return lastError.chars(); }

SAQR_API void* saqr_pool_create(int threads) {
  returnLargeBlocks();
  Pool* pool = new Pool(threads);
  if (pool && pool->whole()) return pool;
  delete pool;
  lastError = Text("the system gives no ") + int64_t(threads) + " threads with their memory";
  return nullptr;
}
SAQR_API const char* saqr_pool_error(void* pool) { return static_cast<Pool*>(pool)->error().chars(); }  // of its last run
SAQR_API void saqr_pool_destroy(void* pool) { delete static_cast<Pool*>(pool); }

SAQR_API void* saqr_alloc(uint64_t bytes) {
  void* address = allocatePages(bytes);
  if (!address) lastError = Text("the system refused ") + static_cast<int64_t>(bytes) + " bytes: " + strerror(errno);
  return address;
}
SAQR_API void saqr_free(void* address, uint64_t bytes) { freePages(address, bytes); }
SAQR_API void saqr_touch(void* address, uint64_t bytes, int threads) { touchPages(address, bytes, threads); }
SAQR_API void* saqr_map_file(const char* path, uint64_t* bytes) {
  void* address = mapFile(path, bytes);
  if (!address) lastError = Text(path) + ": " + strerror(errno);
  return address;
}
SAQR_API void saqr_unmap(void* address, uint64_t bytes) { unmapFile(address, bytes); }
SAQR_API void saqr_copy(void* to, const void* from, uint64_t bytes) { memmove(to, from, bytes); }
SAQR_API void saqr_zero(void* to, uint64_t bytes) { memset(to, 0, bytes); }
SAQR_API uint64_t saqr_resident(const void* address, uint64_t bytes) { return residentBytes(address, bytes); }

SAQR_API void* saqr_plan_load(const void* description, uint64_t bytes) {
  lastError = "the system refused a plan's memory";
  Plan* plan = new Plan;
  if (plan && loadPlan(static_cast<const char*>(description), bytes, *plan, lastError)) return plan;
  delete plan;
  return nullptr;
}
SAQR_API void saqr_plan_free(void* plan) { delete static_cast<Plan*>(plan); }

namespace {
struct Run { Pool* pool; const Item* items; int count; Control* control; };

void runItems(void* context, Worker& worker) {
  Run& run = *static_cast<Run*>(context);
  worker.barrier();  // an abort that came before the start
  for (int i = 0; i < run.count && !run.pool->stopped(); i++) {
    const Item& item = run.items[i];
    double start = worker.id == 0 && item.seconds ? secondsNow() : 0;
    for (int s = item.from; s < item.to && !run.pool->stopped(); s++) {
      if (worker.id == 0) {
        run.control->item = i;
        run.control->step = s;
      }
      const Step& step = item.plan->steps[s];
      step.kernel(step, worker);
      worker.barrier();
      if (worker.id == 0 && item.seconds) {
        double end = secondsNow();
        item.seconds[s] += end - start;
        start = end;
      }
    }
  }
}
}  // namespace

SAQR_API int saqr_run(void* pool, const Item* items, int count, Control* control) {
  for (int i = 0; i < count; i++) {
    if (!items[i].plan || items[i].from < 0 || items[i].to > items[i].plan->steps.size()) {
      static_cast<Pool*>(pool)->fail("the run names steps that its plan doesn't have");
      return control->status = 2;
    }
  }
  Run run{static_cast<Pool*>(pool), items, count, control};
  run.pool->run(runItems, &run, &control->abort);
  return control->status = run.pool->failed() ? 2 : run.pool->stopped() ? 1 : 0;
}

SAQR_API double saqr_probe_fma(void* pool, int kind) { return probeFma(*static_cast<Pool*>(pool), kind); }
SAQR_API double saqr_probe_copy(void* pool) { return probeCopy(*static_cast<Pool*>(pool)); }
SAQR_API double saqr_probe_read(void* pool) { return probeRead(*static_cast<Pool*>(pool)); }

SAQR_API int64_t saqr_quantise_nf4(const void* values, int isBf16, int64_t n, const float* bounds, uint8_t* packed, float* absmax, int threads) {
  return quantiseNf4(values, isBf16 != 0, n, bounds, packed, absmax, threads);
}
SAQR_API void saqr_quantise_8bit(const float* values, float offset, int64_t n, const float* middles, uint8_t* codes, float* absmax, int threads) {
  quantise8Bit(values, offset, n, middles, codes, absmax, threads);
}
SAQR_API int64_t saqr_quantise_ggml(const float* values, int64_t n, int type, uint8_t* out, int threads) {
  return quantiseGgml(values, n, type, out, threads);
}
SAQR_API void saqr_add_low_rank(float* w, const float* b, const float* a, double scale, int64_t rows, int64_t cols, int64_t rank, int threads) {
  addLowRank(w, b, a, scale, rows, cols, rank, threads);
}
SAQR_API void saqr_digest(const void* bytes, uint64_t count, uint64_t* out) { digest(bytes, count, out); }
SAQR_API int64_t saqr_text_slots(const uint8_t* bytes, const uint32_t* starts, int64_t gap, int64_t count, int32_t* slots, int64_t room,
                                 int32_t* repeated) {
  return textSlots({bytes, starts, gap}, count, slots, room, repeated);
}
SAQR_API int64_t saqr_merge_ids(const uint8_t* bytes, const uint32_t* starts, int64_t gap, const int32_t* slots, int64_t room, const int32_t* ids,
                                const uint8_t* merges, const uint32_t* mergeStarts, int64_t mergeGap, int64_t count, int pairs, int32_t* out) {
  return mergeIds({bytes, starts, gap}, slots, room, ids, {merges, mergeStarts, mergeGap}, count, pairs != 0, out);
}
SAQR_API int64_t saqr_not_two(const uint8_t* bytes, const uint32_t* starts, int64_t gap, int64_t count) {
  return notTwo({bytes, starts, gap}, count);
}
SAQR_API void saqr_pair_slots(const int32_t* ids, int64_t count, int32_t* slots, int64_t room) { pairSlots(ids, count, slots, room); }
SAQR_API void saqr_unrotate(const uint8_t* stored, uint8_t* out, int64_t bytes, int64_t lines, int64_t line, int64_t from) {
  unrotate(stored, out, bytes, lines, line, from);
}
// false: no such type
SAQR_API int saqr_values_of_ggml(const uint8_t* blocks, int64_t n, int type, int toBf16, void* out, int threads) {
  return valuesOfGgml(blocks, n, type, toBf16 != 0, out, threads);
}
