#pragma once
#include <cstdint>

namespace saqr {
constexpr uint64_t kDigestChunk = 1 << 20;  // bytes that have a digest of their own
// 16 bytes for each chunk of `bytes`, the last may be shorter: the same on every processor. Against accidents, not against forgers.
void digest(const void* bytes, uint64_t count, uint64_t* out);
}  // namespace saqr
