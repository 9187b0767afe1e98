// Large memory: anonymous pages (huge where the system grants them), mapped files.
#pragma once
#include <cstddef>
#include <cstdint>

namespace saqr {
void* allocatePages(uint64_t bytes);  // zero, 2 MiB aligned, touched lazily; null when refused
void freePages(void* address, uint64_t bytes);
void* mapFile(const char* path, uint64_t* bytes);  // read only; null with errno set
uint64_t residentBytes(const void* address, uint64_t bytes);
}  // namespace saqr
