// A loaded plan: the steps of a description copied and resolved. The layout of the description is shared with devices/cpu.
#pragma once
#include <cstdlib>
#include "list.hpp"
#include "saqr.hpp"
#include "text.hpp"

namespace saqr {

struct Plan {
  List<Step> steps;
  List<Tensor> tensors;
  List<double> attrs;
  static void* operator new(size_t bytes) noexcept { return std::malloc(bytes); }
  static void operator delete(void* plan) { std::free(plan); }
};

int kernelIndex(const char* name);  // place in the table sorted by name, or -1
// into an empty plan; false, with `error` set, when the description is not one
bool loadPlan(const char* bytes, uint64_t size, Plan& plan, Text& error);

}  // namespace saqr
