#include "memory.hpp"
#include <cerrno>
#include <fcntl.h>
#ifdef __linux__
#include <malloc.h>
#endif
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace saqr {

void returnLargeBlocks() {
#ifdef M_MMAP_THRESHOLD
  mallopt(M_MMAP_THRESHOLD, 256 << 10);  // glibc would raise it to the largest block freed so far, and keep what is below
#endif
}

static constexpr uint64_t kHuge = 2u << 20;
static uint64_t roundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// Huge pages for what is several of them long: a small tensor would fill one alone. The end of a block has small pages.
static uint64_t mappedSize(uint64_t bytes) { return roundUp(bytes ? bytes : 1, sysconf(_SC_PAGESIZE)); }

void* allocatePages(uint64_t bytes) {
  uint64_t size = mappedSize(bytes), slack = size >= 2 * kHuge ? kHuge : 0;
  if (size < bytes) return nullptr;
  char* raw = static_cast<char*>(mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (raw == MAP_FAILED) return nullptr;
  if (!slack) return raw;
  char* start = reinterpret_cast<char*>(roundUp(reinterpret_cast<uint64_t>(raw), kHuge));
  if (start > raw) munmap(raw, start - raw);  // give back what alignment left over
  if (raw + slack > start) munmap(start + size, raw + slack - start);
#ifdef MADV_HUGEPAGE
  madvise(start, size / kHuge * kHuge, MADV_HUGEPAGE);
#endif
  return start;
}

void freePages(void* address, uint64_t bytes) {
  if (address) munmap(address, mappedSize(bytes));
}

void touchPages(void* address, uint64_t bytes, int threads) {
  const uint64_t page = sysconf(_SC_PAGESIZE), huge = bytes / kHuge, parts = huge < 1 ? 1 : threads < 1 ? 1 : uint64_t(threads) < huge ? threads : huge;
  auto touch = [&](uint64_t part) {
    // whole huge pages each: one thread has a page made
    const uint64_t from = part == 0 ? 0 : huge * part / parts * kHuge, to = part + 1 == parts ? bytes : huge * (part + 1) / parts * kHuge;
    for (uint64_t at = from; at < to; at += page) static_cast<volatile char*>(address)[at] = 0;
  };
  std::vector<std::thread> others;
  uint64_t part = 1;
  try {
    for (; part < parts; part++) others.emplace_back(touch, part);
  } catch (const std::system_error&) {
    for (; part < parts; part++) touch(part);  // the system gives no more threads
  }
  touch(0);
  for (auto& thread : others) thread.join();
}

void* mapFile(const char* path, uint64_t* bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat info;
  void* address = nullptr;
  if (fstat(file, &info) == 0 && info.st_size > 0) {
    address = mmap(nullptr, info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (address == MAP_FAILED) address = nullptr;
    *bytes = info.st_size;
  } else {
    errno = errno ? errno : EINVAL;
  }
  int saved = errno;
  close(file);
  errno = saved;
  return address;
}

uint64_t residentBytes(const void* address, uint64_t bytes) {
  uint64_t page = sysconf(_SC_PAGESIZE), from = reinterpret_cast<uint64_t>(address) / page * page;
  uint64_t end = reinterpret_cast<uint64_t>(address) + bytes, total = 0;
#ifdef __linux__
  std::vector<unsigned char> seen(1 << 16);
#else
  std::vector<char> seen(1 << 16);
#endif
  for (uint64_t at = from; at < end; at += page * seen.size()) {
    uint64_t length = end - at < page * seen.size() ? end - at : page * seen.size();
    if (mincore(reinterpret_cast<void*>(at), length, seen.data()) != 0) return total;
    for (uint64_t i = 0; i * page < length; i++) total += (seen[i] & 1) * page;
  }
  return total;
}

}  // namespace saqr
