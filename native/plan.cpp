#include "plan.hpp"
#include <cstring>

namespace saqr {

static Registration* first = nullptr;  // sorted by name

Registration::Registration(const char* n, Kernel k) : name(n), kernel(k) {
  Registration** at = &first;
  while (*at && strcmp((*at)->name, n) < 0) at = &(*at)->next;
  next = *at;
  *at = this;
}

static Kernel kernelAt(int index) {  // null: there are fewer
  const Registration* r = index < 0 ? nullptr : first;
  for (; r && index > 0; index--) r = r->next;
  return r ? r->kernel : nullptr;
}
int kernelIndex(const char* name) {
  int index = 0;
  for (const Registration* r = first; r; r = r->next, index++) if (strcmp(r->name, name) == 0) return index;
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

bool loadPlan(const char* bytes, uint64_t size, Plan& plan, Text& error) {
  Cursor in{bytes, bytes + size};
  Header header;
  if (!in.take(&header, sizeof header) || memcmp(&header.magic, "SQPL", 4) != 0) return error = "not a plan description", false;
  List<int64_t> firstTensor, firstAttr;
  for (uint32_t s = 0; s < header.steps; s++) {
    StepHeader h;
    auto bad = [&](const char* what) { return error = Text("step ") + static_cast<int64_t>(s) + " of the plan: " + what, false; };
    if (!in.take(&h, sizeof h)) return bad("cut short");
    const Kernel kernel = kernelAt(h.kernel);
    if (!kernel) return bad("no such kernel");
    if (h.outputs < 0 || h.inputs < 0 || h.attrs < 0 || h.outputs > 4096 || h.inputs > 4096 || h.attrs > 4096) return bad("bad counts");
    firstTensor.push(plan.tensors.size());
    firstAttr.push(plan.attrs.size());
    plan.tensors.resize(plan.tensors.size() + h.outputs + h.inputs);
    plan.attrs.resize(plan.attrs.size() + h.attrs);
    if (!in.take(plan.tensors.data() + firstTensor[s], sizeof(Tensor) * (h.outputs + h.inputs))) return bad("cut short");
    if (!in.take(plan.attrs.data() + firstAttr[s], sizeof(double) * h.attrs)) return bad("cut short");
    plan.steps.push({kernel, nullptr, nullptr, reinterpret_cast<char*>(h.workspace), h.outputs, h.inputs, h.attrs, 0});
  }
  if (in.at != in.end) return error = "plan description longer than its steps", false;
  for (int64_t s = 0; s < plan.steps.size(); s++) {  // the lists no longer move
    plan.steps[s].tensors = plan.tensors.data() + firstTensor[s];
    plan.steps[s].attrs = plan.attrs.data() + firstAttr[s];
  }
  return true;
}

}  // namespace saqr
