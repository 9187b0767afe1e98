// What each system does in its own way: pages of memory, mapped files, threads, time, tiles. `system/posix.cpp` is Linux's and macOS's, `system/windows.cpp`
// Windows'; nothing else asks which system it is on.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include "text.hpp"

#if defined(_WIN32)
#define SAQR_EXPORT __declspec(dllexport)
#else
#define SAQR_EXPORT __attribute__((visibility("default")))
#endif

namespace saqr {
// Large blocks of malloc's (JavaScript's buffers too) go back to the system when they are freed.
void returnLargeBlocks() noexcept;

constexpr uint64_t kHuge = 2u << 20;  // bytes of a huge page
uint64_t pageBytes() noexcept;
void* allocatePages(uint64_t bytes) noexcept;  // zero, page aligned (2 MiB where the system has huge pages and they are large); null with errno set
void freePages(void* address, uint64_t bytes) noexcept;
uint64_t residentBytes(const void* address, uint64_t bytes) noexcept;

void* mapFile(const char* path, uint64_t* bytes);  // read only, path in UTF-8; null with errno set
void unmapFile(void* address, uint64_t bytes) noexcept;

// A thread runs work(context). It lies where it is until it is joined.
struct Thread {
  void (*work)(void* context);
  void* context;
  void* handle;
};
bool startThread(Thread& thread) noexcept;  // false: the system gives no more of them
[[gnu::nothrow]] void joinThread(Thread& thread);
// What threads wait for: a name of saqr's, as C++ libraries name theirs each in its own way, and one may have compiled the system's part, another the kernels.
struct Number : std::atomic<uint32_t> {
  using atomic::atomic;
};
// Sleeps while the number is `old`; may also return without a cause.
void sleepWhileIs(const Number& number, uint32_t old) noexcept;
void wakeAll(const Number& number) noexcept;  // after it changed
double secondsNow() noexcept;  // since some moment; never goes back

// Asks for the registers of the processor's tiles, which a process has only when the system grants them; '' when it does, else why not.
Text refusesTiles() noexcept;
}  // namespace saqr
