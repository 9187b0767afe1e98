// What is made of a vocabulary's and of merges' texts before a model's first token: a hash of every text, three look-ups a merge. JavaScript that was
// started just now is slow at it. The tables are those of src/formats/text-tables.ts, slot by slot: what is looked up in them is
// looked up there.
#include "text-tables.hpp"
#include <cstring>

namespace saqr {
namespace {

constexpr int32_t kNone = -1;

// a text, or two parts of one: `bytes` from `from` to before `end`, on from `from2` to before `end2`
struct Parts {
  const uint8_t* bytes;
  uint32_t from, end, from2, end2;
  uint32_t length() const { return end - from + end2 - from2; }
};

// FNV-1a, the high bits spread over the low ones
uint32_t hashOf(const Parts& t) {
  uint32_t hash = 0x811c9dc5;
  for (uint32_t i = t.from; i < t.end; i++) hash = (hash ^ t.bytes[i]) * 0x01000193u;
  for (uint32_t i = t.from2; i < t.end2; i++) hash = (hash ^ t.bytes[i]) * 0x01000193u;
  // JavaScript's >>> of a number that is an int32
  return hash ^ hash >> 15;
}

bool isAt(const Texts& texts, int32_t at, const Parts& t) {
  const uint32_t begin = texts.starts[at];
  if (texts.end(at) - begin != t.length()) return false;
  const uint8_t* own = texts.bytes + begin;
  return memcmp(own, t.bytes + t.from, t.end - t.from) == 0 && memcmp(own + (t.end - t.from), t.bytes + t.from2, t.end2 - t.from2) == 0;
}

// where the place of a text stands, or would; `room` is a power of two
uint32_t slotOf(const Texts& texts, const int32_t* slots, int64_t room, const Parts& t) {
  const uint32_t mask = static_cast<uint32_t>(room - 1);
  for (uint32_t slot = hashOf(t) & mask;; slot = (slot + 1) & mask)
    if (slots[slot] == kNone || isAt(texts, slots[slot], t)) return slot;
}

// the first space; the end where there is none
uint32_t spaceIn(const uint8_t* bytes, uint32_t from, uint32_t end) {
  for (uint32_t i = from; i < end; i++)
    if (bytes[i] == ' ') return i;
  return end;
}

// both parts of a merge
Parts partsOf(const Texts& merges, int64_t i, bool pairs) {
  if (pairs) return {merges.bytes, merges.starts[2 * i], merges.end(2 * i), merges.starts[2 * i + 1], merges.end(2 * i + 1)};
  const uint32_t from = merges.starts[i], end = merges.end(i);
  const uint32_t middle = spaceIn(merges.bytes, from, end);
  const uint32_t from2 = middle < end ? middle + 1 : end;
  return {merges.bytes, from, middle, from2, spaceIn(merges.bytes, from2, end)};
}

void clear(int32_t* slots, int64_t room) {
  for (int64_t i = 0; i < room; i++) slots[i] = kNone;
}

}  // namespace

// Places by hash; of equal texts the last. Returns how many an equal one comes after, their places in `repeated` where that is given.
int64_t textSlots(Texts texts, int64_t count, int32_t* slots, int64_t room, int32_t* repeated) {
  clear(slots, room);
  int64_t found = 0;
  for (int64_t at = 0; at < count; at++) {
    const uint32_t from = texts.starts[at], end = texts.end(at);
    int32_t& slot = slots[slotOf(texts, slots, room, {texts.bytes, from, end, end, end})];
    if (slot != kNone) {
      if (repeated) repeated[found] = slot;
      found++;
    }
    slot = static_cast<int32_t>(at);
  }
  return found;
}

// Ids of the left part, the right one and the token they make, merge by merge. Returns the first merge of which one is no token; -1: none.
int64_t mergeIds(Texts tokens, const int32_t* slots, int64_t room, const int32_t* ids, Texts merges, int64_t count, bool pairs, int32_t* out) {
  const auto find = [&](const Parts& t) { return slots[slotOf(tokens, slots, room, t)]; };
  for (int64_t i = 0; i < count; i++) {
    const Parts t = partsOf(merges, i, pairs);
    const int32_t left = find({t.bytes, t.from, t.end, t.end, t.end}), right = find({t.bytes, t.from2, t.end2, t.end2, t.end2}), both = find(t);
    if (left == kNone || right == kNone || both == kNone) return i;
    out[3 * i] = ids[left];
    out[3 * i + 1] = ids[right];
    out[3 * i + 2] = ids[both];
  }
  return kNone;
}

// The first that is not two texts with a space between; -1: all are.
int64_t notTwo(Texts merges, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    const uint32_t from = merges.starts[i], end = merges.end(i);
    const uint32_t space = spaceIn(merges.bytes, from, end);
    // in numbers that may be negative: an empty text ends where it begins
    if (space == from || static_cast<int64_t>(space) >= static_cast<int64_t>(end) - 1 || spaceIn(merges.bytes, space + 1, end) != end) return i;
  }
  return kNone;
}

// Ranks by a hash of both ids, of equal pairs the last.
void pairSlots(const int32_t* ids, int64_t count, int32_t* slots, int64_t room) {
  clear(slots, room);
  const uint32_t mask = static_cast<uint32_t>(room - 1);
  for (int64_t rank = 0; rank < count; rank++) {
    const int32_t left = ids[3 * rank], right = ids[3 * rank + 1];
    uint32_t slot = static_cast<uint32_t>(left) * 0x9e3779b1u ^ static_cast<uint32_t>(right) * 0x85ebca6bu;
    for (slot = (slot ^ slot >> 15) & mask;; slot = (slot + 1) & mask) {
      const int32_t other = slots[slot];
      if (other == kNone || (ids[3 * other] == left && ids[3 * other + 1] == right)) break;
    }
    slots[slot] = static_cast<int32_t>(rank);
  }
}

}  // namespace saqr
