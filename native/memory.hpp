// Pages that are promised and not given yet.
#pragma once
#include <cstdint>

namespace saqr {
void touchPages(void* address, uint64_t bytes, int threads);  // so that the system gives them now, by many threads at once
}  // namespace saqr
