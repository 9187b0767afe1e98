// Linux and macOS.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>
#include "system.hpp"
#ifdef __linux__
#include <malloc.h>
#include <sys/syscall.h>
using Residence = unsigned char;  // mincore's
#else
using Residence = char;
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

namespace saqr {

void returnLargeBlocks() {
#if defined(M_MMAP_THRESHOLD) && defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 256 << 10);  // glibc would raise it to the largest block freed so far, and keep what is below
#endif
}

static uint64_t roundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }
uint64_t pageBytes() { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

// Huge pages for what is several of them long: a small tensor would fill one alone. The end of a block has small pages.
static uint64_t mappedSize(uint64_t bytes) { return roundUp(bytes ? bytes : 1, pageBytes()); }

void* allocatePages(uint64_t bytes) {
  uint64_t size = mappedSize(bytes), slack = size >= 2 * kHuge ? kHuge : 0;
  if (size < bytes) {
    errno = ENOMEM;
    return nullptr;
  }
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

uint64_t residentBytes(const void* address, uint64_t bytes) {
  uint64_t page = pageBytes(), from = reinterpret_cast<uint64_t>(address) / page * page;
  uint64_t end = reinterpret_cast<uint64_t>(address) + bytes, total = 0;
  std::vector<Residence> seen(1 << 16);
  for (uint64_t at = from; at < end; at += page * seen.size()) {
    uint64_t length = end - at < page * seen.size() ? end - at : page * seen.size();
    if (mincore(reinterpret_cast<void*>(at), length, seen.data()) != 0) return total;
    for (uint64_t i = 0; i * page < length; i++) total += (seen[i] & 1) * page;
  }
  return total;
}

void* mapFile(const char* path, uint64_t* bytes) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return nullptr;
  struct stat info;
  void* address = nullptr;
  errno = 0;
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

void unmapFile(void* address, uint64_t bytes) { munmap(address, bytes); }

// Linux gives the 8 kB of state to a process that asks (arch_prctl); containers may forbid the call.
std::string refusesTiles() {
#ifdef SYS_arch_prctl
  constexpr int kTileData = 18, kAskPermission = 0x1023;  // XFEATURE_XTILEDATA, ARCH_REQ_XCOMP_PERM
  if (syscall(SYS_arch_prctl, kAskPermission, kTileData) != 0) return std::string("the system refuses tiles: ") + strerror(errno);
  return "";
#else
  return "tiles are asked of Linux alone";
#endif
}

}  // namespace saqr
