// Threads, what they wait for, and one at a time: over the few things that each system does in its own way (system.hpp).
#pragma once
#include <atomic>
#include <cstdint>
#include "system.hpp"

namespace saqr {

// A number that threads wait for. Whoever changes it asks the system to wake them only where somebody sleeps.
class Signal {
 public:
  uint32_t value() const { return value_.load(std::memory_order_acquire); }
  void set(uint32_t value) {
    value_.store(value);
    if (asleep_.load()) wakeAll(value_);
  }
  uint32_t add(uint32_t more) {  // what it was
    // in one order for all threads, with what a sleeper does: either this sees it, or it sees this
    const uint32_t was = value_.fetch_add(more);
    if (asleep_.load()) wakeAll(value_);
    return was;
  }
  bool replace(uint32_t from, uint32_t to) { return value_.compare_exchange_strong(from, to); }
  void sleepWhile(uint32_t old) {
    asleep_.fetch_add(1);
    while (value() == old) sleepWhileIs(value_, old);
    asleep_.fetch_sub(1);
  }

 private:
  Number value_{0};
  std::atomic<uint32_t> asleep_{0};
};

class Lock {
 public:
  void take() {
    while (!taken_.replace(0, 1)) taken_.sleepWhile(1);
  }
  void give() { taken_.set(0); }

 private:
  Signal taken_;
};

constexpr int kMostParts = 256;

// work(part) for the parts [0, parts), at most kMostParts, each on a thread of its own as far as the system gives them, the others on the caller's
template <class F>
void together(int parts, F work) {
  struct Part {
    const F* work;
    int part;
    Thread thread;
  };
  Part others[kMostParts];
  int started = 1;
  for (; started < parts; started++) {
    Part& own = others[started];
    own.work = &work;
    own.part = started;
    own.thread.work = [](void* it) { (*static_cast<Part*>(it)->work)(static_cast<Part*>(it)->part); };
    own.thread.context = &own;
    if (!startThread(own.thread)) break;
  }
  work(0);
  for (int part = started; part < parts; part++) work(part);
  for (int part = 1; part < started; part++) joinThread(others[part].thread);
}

}  // namespace saqr
