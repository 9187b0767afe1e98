// What each system does in its own way: pages of memory, mapped files, tiles. `system/posix.cpp` is Linux's and macOS's, `system/windows.cpp`
// Windows'; nothing else asks which system it is on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#if defined(_WIN32)
#define SAQR_EXPORT __declspec(dllexport)
#else
#define SAQR_EXPORT __attribute__((visibility("default")))
#endif

namespace saqr {
// Large blocks of malloc's (JavaScript's buffers too) go back to the system when they are freed.
void returnLargeBlocks();

constexpr uint64_t kHuge = 2u << 20;  // bytes of a huge page
uint64_t pageBytes();
void* allocatePages(uint64_t bytes);  // zero, page aligned (2 MiB where the system has huge pages and they are large); null with errno set
void freePages(void* address, uint64_t bytes);
uint64_t residentBytes(const void* address, uint64_t bytes);

void* mapFile(const char* path, uint64_t* bytes);  // read only, path in UTF-8; null with errno set
void unmapFile(void* address, uint64_t bytes);

// Asks for the registers of the processor's tiles, which a process has only when the system grants them; '' when it does, else why not.
std::string refusesTiles();
}  // namespace saqr
