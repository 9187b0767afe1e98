// What the processor has of what this variant is compiled for.
#pragma once

namespace saqr {
// null, or why this process can't run the library's kernels
const char* refusal();
}  // namespace saqr
