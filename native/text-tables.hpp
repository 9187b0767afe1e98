#pragma once
#include <cstdint>

namespace saqr {
// Texts one behind the other, `gap` bytes of something else between two (src/formats/texts.ts).
struct Texts {
  const uint8_t* bytes;
  const uint32_t* starts;  // one more than there are texts
  int64_t gap;
  uint32_t end(int64_t i) const { return starts[i + 1] - static_cast<uint32_t>(gap); }
};
// The tables that src/formats/text-tables.ts defines.
int64_t textSlots(Texts texts, int64_t count, int32_t* slots, int64_t room, int32_t* repeated);
int64_t mergeIds(Texts tokens, const int32_t* slots, int64_t room, const int32_t* ids, Texts merges, int64_t count, bool pairs, int32_t* out);
int64_t notTwo(Texts merges, int64_t count);
void pairSlots(const int32_t* ids, int64_t count, int32_t* slots, int64_t room);
}  // namespace saqr
