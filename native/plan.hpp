// A loaded plan: the steps of a description copied and resolved. The layout of the description is shared with devices/cpu.
#pragma once
#include <string>
#include <vector>
#include "saqr.hpp"

namespace saqr {

struct Plan {
  std::vector<Step> steps;
  std::vector<Tensor> tensors;
  std::vector<double> attrs;
};

int kernelIndex(const char* name);  // place in the table sorted by name, or -1
int kernelCount();
// null, with `error` set, when the description is not one
Plan* loadPlan(const char* bytes, uint64_t size, std::string& error);

}  // namespace saqr
