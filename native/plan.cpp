#include "plan.hpp"
#include <algorithm>
#include <cstring>
#include <memory>

namespace saqr {

static Registration*& registrations() {
  static Registration* head = nullptr;
  return head;
}
Registration::Registration(const char* n, Kernel k) : name(n), kernel(k), next(registrations()) { registrations() = this; }

static const std::vector<Registration*>& table() {
  static const std::vector<Registration*> sorted = [] {
    std::vector<Registration*> list;
    for (Registration* r = registrations(); r; r = r->next) list.push_back(r);
    std::sort(list.begin(), list.end(), [](auto a, auto b) { return strcmp(a->name, b->name) < 0; });
    return list;
  }();
  return sorted;
}
int kernelCount() { return static_cast<int>(table().size()); }
int kernelIndex(const char* name) {
  for (size_t i = 0; i < table().size(); i++) {
    if (strcmp(table()[i]->name, name) == 0) return static_cast<int>(i);
  }
  return -1;
}

struct Header { uint32_t magic, steps; };
struct StepHeader { int32_t kernel, outputs, inputs, attrs; uint64_t workspace; };

// Reads consecutive records; false past the end.
struct Cursor {
  const char* at;
  const char* end;
  bool take(void* to, uint64_t bytes) {
    if (static_cast<uint64_t>(end - at) < bytes) return false;
    memcpy(to, at, bytes);
    at += bytes;
    return true;
  }
};

Plan* loadPlan(const char* bytes, uint64_t size, std::string& error) {
  Cursor in{bytes, bytes + size};
  Header header;
  if (!in.take(&header, sizeof header) || memcmp(&header.magic, "SQPL", 4) != 0) return error = "not a plan description", nullptr;
  auto plan = std::make_unique<Plan>();
  std::vector<size_t> firstTensor, firstAttr;
  for (uint32_t s = 0; s < header.steps; s++) {
    StepHeader h;
    auto bad = [&](const char* what) { return error = "step " + std::to_string(s) + " of the plan: " + what, nullptr; };
    if (!in.take(&h, sizeof h)) return bad("cut short");
    if (h.kernel < 0 || h.kernel >= kernelCount()) return bad("no such kernel");
    if (h.outputs < 0 || h.inputs < 0 || h.attrs < 0 || h.outputs > 4096 || h.inputs > 4096 || h.attrs > 4096) return bad("bad counts");
    firstTensor.push_back(plan->tensors.size());
    firstAttr.push_back(plan->attrs.size());
    plan->tensors.resize(plan->tensors.size() + h.outputs + h.inputs);
    plan->attrs.resize(plan->attrs.size() + h.attrs);
    if (!in.take(plan->tensors.data() + firstTensor[s], sizeof(Tensor) * (h.outputs + h.inputs))) return bad("cut short");
    if (!in.take(plan->attrs.data() + firstAttr[s], sizeof(double) * h.attrs)) return bad("cut short");
    plan->steps.push_back({table()[h.kernel]->kernel, nullptr, nullptr, reinterpret_cast<char*>(h.workspace), h.outputs, h.inputs, h.attrs, 0});
  }
  if (in.at != in.end) return error = "plan description longer than its steps", nullptr;
  for (size_t s = 0; s < plan->steps.size(); s++) {  // the vectors no longer move
    plan->steps[s].tensors = plan->tensors.data() + firstTensor[s];
    plan->steps[s].attrs = plan->attrs.data() + firstAttr[s];
  }
  return plan.release();
}

}  // namespace saqr
