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
static void await(Signal& signal, uint32_t old) {
  for (int i = 0; i < 400; i++) {
    if (signal.value() != old) return;
    relax();
  }
  signal.sleepWhile(old);
}

Pool::Pool(int threads) noexcept : count_(threads < 1 ? 1 : threads), shared_(static_cast<char*>(allocatePages(kSharedBytes))) {
  whole_ = shared_ != nullptr;
  for (int id = 0; whole_ && id < count_; id++) {
    workers_.push({id, count_, static_cast<char*>(allocatePages(kScratchBytes)), shared_, this});
    whole_ = workers_[id].scratch != nullptr;
  }
  if (!whole_) return;  // before any thread
  threads_.resize(count_ - 1);  // they stay where they are from here on
  for (int id = 1; id < count_; id++) {
    Beside& beside = threads_[id - 1];
    beside.pool = this;
    beside.id = id;
    beside.thread.work = [](void* it) { static_cast<Beside*>(it)->pool->loop(static_cast<Beside*>(it)->id); };
    beside.thread.context = &beside;
    if (startThread(beside.thread)) continue;
    whole_ = false;
    threads_.resize(id - 1);
    break;
  }
}

Pool::~Pool() {
  leaving_ = true;
  round_.add(1);
  for (auto& beside : threads_) joinThread(beside.thread);
  for (auto& worker : workers_) freePages(worker.scratch, kScratchBytes);
  freePages(shared_, kSharedBytes);
}

void Pool::loop(int id) {
  for (uint32_t seen = 0;; seen++) {
    await(round_, seen);
    if (leaving_) return;
    job_(context_, workers_[id]);
    busy_.add(-1u);
  }
}

void Pool::run(Job job, void* context, const volatile int32_t* abort) {
  running_.take();
  job_ = job;
  context_ = context;
  abort_ = abort;
  failed_ = false;
  stopped_ = false;
  arrived_ = 0;
  busy_.set(count_ - 1);
  round_.add(1);
  job(context, workers_[0]);
  for (uint32_t left; (left = busy_.value()) != 0;) await(busy_, left);
  abort_ = nullptr;
  running_.give();
}

// The last to arrive decides for all whether the run stops. A thread that saw the abort and left its kernel early arrives at a later
// barrier than the others stand at; they pass this one together, and once stopped no barrier waits again, so nobody is left behind.
void Pool::barrier() {
  if (stopped()) return;
  uint32_t passed = passed_.value();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(count_)) {
    arrived_.store(0, std::memory_order_relaxed);
    if (abortAsked()) stopped_.store(true, std::memory_order_release);
    passed_.add(1);
  } else {
    await(passed_, passed);
  }
}

void Pool::fail(const char* why) {
  failing_.take();
  if (!failed_) error_ = why;
  failed_ = true;
  failing_.give();
}

void Worker::barrier() { static_cast<Pool*>(pool)->barrier(); }
bool Worker::aborted() const { return static_cast<Pool*>(pool)->abortAsked(); }
void Worker::fail(const char* why) { static_cast<Pool*>(pool)->fail(why); }

}  // namespace saqr
