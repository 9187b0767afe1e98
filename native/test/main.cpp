// test-<variant> [bench] [PART OF A NAME …]: runs the registered tests, or the benchmarks.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstring>
#include <ctime>
#include <map>
#include "plan.hpp"
#include "probe.hpp"
#include "test.hpp"

namespace saqr::test {

static Entry* entries = nullptr;
static int failures = 0;

Entry::Entry(const char* n, void (*b)(), bool isBench) : name(n), body(b), bench(isBench), next(entries) { entries = this; }

void fail(const char* file, int line, const char* format, ...) {
  if (++failures > 40) return;
  const char* slash = strrchr(file, '/');
  printf("  %s:%d: ", slash ? slash + 1 : file, line);
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
}

static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

struct Call::Loaded {
  std::unique_ptr<Plan> plan;
};

Call::Call(const char* op, int outputs, std::vector<Tensor> tensors, std::vector<double> attrs, void* workspace) : loaded_(new Loaded) {
  struct { uint32_t magic, steps; int32_t kernel, outputs, inputs, attrs; uint64_t workspace; } head{};
  static_assert(sizeof head == 32);
  memcpy(&head.magic, "SQPL", 4);
  head.steps = 1;
  head.kernel = kernelIndex(op);
  head.outputs = outputs;
  head.inputs = static_cast<int>(tensors.size()) - outputs;
  head.attrs = static_cast<int>(attrs.size());
  head.workspace = reinterpret_cast<uint64_t>(workspace);
  std::string bytes(reinterpret_cast<char*>(&head), sizeof head), error;
  bytes.append(reinterpret_cast<char*>(tensors.data()), tensors.size() * sizeof(Tensor));
  bytes.append(reinterpret_cast<char*>(attrs.data()), attrs.size() * sizeof(double));
  loaded_->plan.reset(loadPlan(bytes.data(), bytes.size(), error));
  EXPECT(loaded_->plan, "%s: %s", op, error.c_str());
}
Call::~Call() = default;

std::string Call::error(Pool& pool, const volatile int32_t* abort) const {
  if (!loaded_->plan) return "not loaded";
  pool.run([](void* step, Worker& worker) { static_cast<const Step*>(step)->kernel(*static_cast<const Step*>(step), worker); }, &loaded_->plan->steps[0],
           abort);
  return pool.failed() ? pool.error() : "";
}

void Call::run(Pool& pool) const {
  std::string why = error(pool);
  EXPECT(why.empty(), "%s", why.c_str());
}

double Call::seconds(Pool& pool, int repeats) const {
  run(pool);
  double shortest = 1e30;
  for (int i = 0; i < repeats; i++) {
    double start = now();
    run(pool);
    shortest = std::min(shortest, now() - start);
  }
  return shortest;
}

double Call::processorSeconds(int repeats) const {
  auto spent = [] {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  run(pool(1));
  double shortest = 1e30;
  for (int i = 0; i < repeats; i++) {
    const double start = spent();
    run(pool(1));
    shortest = std::min(shortest, spent() - start);
  }
  return shortest;
}

Pool& pool(int threads) {
  static std::map<int, std::unique_ptr<Pool>> pools;
  auto& made = pools[threads];
  if (!made) made = std::make_unique<Pool>(threads);
  return *made;
}

double limit(int kind, int threads) {
  static std::map<std::pair<int, int>, double> limits;
  double& best = limits[{kind, threads}];
  if (best == 0) {
    for (int i = 0; i < 3; i++) best = std::max(best, probeFma(pool(threads), kind));  // others may hold a core during one
  }
  return best;
}

double Random::normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform()); }

static int runAll(bool bench, const std::vector<std::string>& filters) {
  std::vector<Entry*> chosen;
  for (Entry* e = entries; e; e = e->next) {
    bool named = filters.empty() || std::any_of(filters.begin(), filters.end(), [&](const auto& f) { return strstr(e->name, f.c_str()); });
    if (e->bench == bench && named) chosen.push_back(e);
  }
  std::sort(chosen.begin(), chosen.end(), [](Entry* a, Entry* b) { return strcmp(a->name, b->name) < 0; });
  int failed = 0;
  for (Entry* e : chosen) {
    failures = 0;
    double start = now();
    e->body();
    if (failures) failed++;
    if (!bench || failures) printf("%s %s (%.2f s)\n", failures ? "FAIL" : "ok  ", e->name, now() - start);
    fflush(stdout);
  }
  printf("%zu %s, %d failed\n", chosen.size(), bench ? "benchmarks" : "tests", failed);
  return failed || chosen.empty() ? 1 : 0;
}

}  // namespace saqr::test

int main(int count, char** arguments) {
  std::vector<std::string> filters(arguments + 1, arguments + count);
  bool bench = !filters.empty() && filters[0] == "bench";
  if (bench) filters.erase(filters.begin());
  return saqr::test::runAll(bench, filters);
}
