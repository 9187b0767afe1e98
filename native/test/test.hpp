// The smallest test runner that serves: TEST and BENCH register themselves; a kernel is run by its op's name on any number of threads.
#pragma once
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>
#include "pool.hpp"
#include "simd.hpp"

namespace saqr::test {

struct Entry {
  const char* name;
  void (*body)();
  bool bench;
  Entry* next;
  Entry(const char* name, void (*body)(), bool bench);
};

// Notes a failure and goes on; printf-like.
void fail(const char* file, int line, const char* format, ...) __attribute__((format(printf, 3, 4)));
#define EXPECT(condition, ...) \
  do { \
    if (!(condition)) saqr::test::fail(__FILE__, __LINE__, __VA_ARGS__); \
  } while (0)

// A kernel with its arguments, run as a plan of one step. Outputs first, then inputs; an absent one has data = null.
class Call {
 public:
  Call(const char* op, int outputs, std::vector<Tensor> tensors, std::vector<double> attrs, void* workspace = nullptr);
  ~Call();
  void run(Pool& pool) const;               // an error of the kernel is a failure of the test
  // runs it and returns what it says ("" if nothing)
  std::string error(Pool& pool, const volatile int32_t* abort = nullptr) const;
  double seconds(Pool& pool, int repeats) const;  // shortest of several
  double processorSeconds(int repeats) const;     // shortest of several on one thread, time that others took from it left out

 private:
  struct Loaded;
  std::unique_ptr<Loaded> loaded_;
};

Pool& pool(int threads);  // made once

// The probe, measured once: GFLOP/s of so many threads (kind 0: f32, 1: bf16 dot product).
double limit(int kind, int threads = 2);

// Deterministic numbers.
struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 1) {}
  uint32_t bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 33) * 2u + static_cast<uint32_t>(state >> 63);
  }
  int below(int n) { return static_cast<int>((static_cast<uint64_t>(bits()) * static_cast<uint64_t>(n)) >> 32); }
  double uniform() { return bits() / 4294967296.0; }
  double normal();
};

}  // namespace saqr::test

#define TEST(name) \
  static void name(); \
  static saqr::test::Entry name##_entry(#name, name, false); \
  static void name()
#define BENCH(name) \
  static void name(); \
  static saqr::test::Entry name##_entry(#name, name, true); \
  static void name()
