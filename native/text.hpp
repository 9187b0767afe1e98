// What went wrong, in words: put together without the C++ library (list.hpp). What is longer than
// a path and a sentence is cut off.
#pragma once
#include <cstdint>
#include <cstring>

namespace saqr {

class Text {
 public:
  Text() { at_[0] = '\0'; }
  Text(const char* text) : Text() { *this += text; }
  Text& operator+=(const char* more) {
    for (; *more && length_ + 1 < sizeof at_; more++) at_[length_++] = *more;
    at_[length_] = '\0';
    return *this;
  }
  Text& operator+=(int64_t number) {
    char digits[24], *first = digits + sizeof digits;
    *--first = '\0';
    uint64_t rest = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    do *--first = static_cast<char>('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) *--first = '-';
    return *this += first;
  }
  template <class T>
  Text operator+(T more) const { return Text(*this) += more; }
  bool empty() const { return length_ == 0; }
  const char* chars() const { return at_; }

 private:
  size_t length_ = 0;
  char at_[4608];
};

}  // namespace saqr
