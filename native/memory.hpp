// Large memory: anonymous pages (huge where the system grants them), mapped files.
#pragma once
#include <cstddef>
#include <cstdint>

namespace saqr {
// Large blocks of malloc's (JavaScript's buffers too) go back to the system when they are freed.
void returnLargeBlocks();
void* allocatePages(uint64_t bytes);  // zero, touched lazily, page aligned (2 MiB where large); null when refused
void freePages(void* address, uint64_t bytes);
void touchPages(void* address, uint64_t bytes, int threads);  // so that the system gives them now, by many threads at once
void* mapFile(const char* path, uint64_t* bytes);  // read only; null with errno set
uint64_t residentBytes(const void* address, uint64_t bytes);
}  // namespace saqr
