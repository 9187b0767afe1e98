#include "pool.hpp"
#include "system.hpp"

namespace saqr {

static void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Wait until `value` is no longer `old`: spin about 20 µs (steps follow each other closely), then sleep.
static void await(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < 400; i++) {
    if (value.load(std::memory_order_acquire) != old) return;
    relax();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

Pool::Pool(int threads) : count_(threads < 1 ? 1 : threads), shared_(static_cast<char*>(allocatePages(kSharedBytes))) {
  for (int id = 0; id < count_; id++) {
    workers_.push_back({id, count_, static_cast<char*>(allocatePages(kScratchBytes)), shared_, this});
  }
  for (int id = 1; id < count_; id++) threads_.emplace_back([this, id] { loop(id); });
}

Pool::~Pool() {
  leaving_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (auto& thread : threads_) thread.join();
  for (auto& worker : workers_) freePages(worker.scratch, kScratchBytes);
  freePages(shared_, kSharedBytes);
}

void Pool::loop(int id) {
  for (uint32_t seen = 0;; seen++) {
    await(round_, seen);
    if (leaving_) return;
    job_(context_, workers_[id]);
    if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_all();
  }
}

void Pool::run(Job job, void* context, const volatile int32_t* abort) {
  std::lock_guard<std::mutex> one(running_);
  job_ = job;
  context_ = context;
  abort_ = abort;
  failed_ = false;
  stopped_ = false;
  arrived_ = 0;
  busy_.store(count_ - 1, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  job(context, workers_[0]);
  for (uint32_t left; (left = busy_.load(std::memory_order_acquire)) != 0;) await(busy_, left);
  abort_ = nullptr;
}

// The last to arrive decides for all whether the run stops. A thread that saw the abort and left its kernel early arrives at a later
// barrier than the others stand at; they pass this one together, and once stopped no barrier waits again, so nobody is left behind.
void Pool::barrier() {
  if (stopped()) return;
  uint32_t passed = passed_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(count_)) {
    arrived_.store(0, std::memory_order_relaxed);
    if (abortAsked()) stopped_.store(true, std::memory_order_release);
    passed_.fetch_add(1, std::memory_order_release);
    passed_.notify_all();
  } else {
    await(passed_, passed);
  }
}

void Pool::fail(const char* why) {
  std::lock_guard<std::mutex> one(failing_);
  if (!failed_) error_ = why;
  failed_ = true;
}

void Worker::barrier() { static_cast<Pool*>(pool)->barrier(); }
bool Worker::aborted() const { return static_cast<Pool*>(pool)->abortAsked(); }
void Worker::fail(const char* why) { static_cast<Pool*>(pool)->fail(why); }

}  // namespace saqr
