// Values one behind the other, in memory of malloc's: what saqr takes of the C++ library is its headers alone, so that no system needs one at
// hand and no cross compiler has to make one for each (compilers.mjs).
#pragma once
#include <cstdint>
#include <cstdlib>
#include <type_traits>

namespace saqr {

template <class T>
class List {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 16, "realloc moves them");

 public:
  List() = default;
  explicit List(int64_t size, T value = {}) {
    resize(size);
    for (T& each : *this) each = value;
  }
  ~List() { std::free(at_); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  void resize(int64_t size) {  // what is new has no value yet
    if (size > room_) {
      room_ = size > 2 * room_ ? size : 2 * room_;
      at_ = static_cast<T*>(std::realloc(static_cast<void*>(at_), static_cast<size_t>(room_) * sizeof(T)));
      if (!at_) std::abort();
    }
    size_ = size;
  }
  void push(const T& value) {
    const T own = value;
    resize(size_ + 1);
    at_[size_ - 1] = own;
  }
  int64_t size() const { return size_; }
  T* data() { return at_; }
  T& operator[](int64_t i) { return at_[i]; }
  const T& operator[](int64_t i) const { return at_[i]; }
  T* begin() { return at_; }
  T* end() { return at_ + size_; }

 private:
  T* at_ = nullptr;
  int64_t size_ = 0, room_ = 0;
};

}  // namespace saqr
