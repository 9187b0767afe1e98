// Persistent threads that run passes together: a barrier between steps, one decision to stop that all threads share.
#pragma once
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include "saqr.hpp"

namespace saqr {

using Job = void (*)(void* context, Worker& worker);

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  // All workers run the job; the caller is worker 0. Returns when every worker has left it.
  void run(Job job, void* context, const volatile int32_t* abort);
  void barrier();
  void fail(const char* why);
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  bool abortAsked() const { return failed_.load(std::memory_order_relaxed) || (abort_ && *abort_); }
  bool failed() const { return failed_.load(); }
  int count() const { return count_; }
  const std::string& error() const { return error_; }

 private:
  void loop(int id);
  int count_;
  char* shared_;
  std::vector<Worker> workers_;
  std::vector<std::thread> threads_;
  std::mutex running_, failing_;
  // the job of this round
  Job job_ = nullptr;
  void* context_ = nullptr;
  const volatile int32_t* abort_ = nullptr;
  std::string error_;
  std::atomic<bool> failed_{false}, stopped_{false};
  alignas(64) std::atomic<uint32_t> round_{0};    // goes up to start a job (or to leave)
  alignas(64) std::atomic<uint32_t> busy_{0};     // workers beside the caller that are still inside
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> passed_{0};   // barriers passed
  std::atomic<bool> leaving_{false};
};

}  // namespace saqr
