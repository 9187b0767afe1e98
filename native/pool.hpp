// Persistent threads that run passes together: a barrier between steps, one decision to stop that all threads share.
#pragma once
#include <atomic>
#include "list.hpp"
#include "saqr.hpp"
#include "text.hpp"
#include "threads.hpp"

namespace saqr {

using Job = void (*)(void* context, Worker& worker);

class Pool {
 public:
  explicit Pool(int threads) noexcept;
  static void* operator new(size_t bytes) noexcept { return allocatePages(bytes); }
  static void operator delete(void* pool) { freePages(pool, sizeof(Pool)); }
  ~Pool();
  bool whole() const { return whole_; }  // else the system refused threads or their memory: of no use
  // All workers run the job; the caller is worker 0. Returns when every worker has left it.
  void run(Job job, void* context, const volatile int32_t* abort);
  void barrier();
  void fail(const char* why);
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  bool abortAsked() const { return failed_.load(std::memory_order_relaxed) || (abort_ && *abort_); }
  bool failed() const { return failed_.load(); }
  int count() const { return count_; }
  const Text& error() const { return error_; }

 private:
  void loop(int id);
  int count_;
  bool whole_ = true;
  char* shared_;
  List<Worker> workers_;
  struct Beside { Pool* pool; int id; Thread thread; };
  List<Beside> threads_;  // beside the caller's own
  Lock running_, failing_;
  // the job of this round
  Job job_ = nullptr;
  void* context_ = nullptr;
  const volatile int32_t* abort_ = nullptr;
  Text error_;
  std::atomic<bool> failed_{false}, stopped_{false};
  alignas(64) Signal round_;                      // goes up to start a job (or to leave)
  alignas(64) Signal busy_;                       // workers beside the caller that are still inside
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) Signal passed_;                     // barriers passed
  std::atomic<bool> leaving_{false};
};

}  // namespace saqr
