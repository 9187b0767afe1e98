// Linux and macOS.
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "list.hpp"
#include "system.hpp"
#ifdef __linux__
#include <linux/futex.h>
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

void returnLargeBlocks() noexcept {
#if defined(M_MMAP_THRESHOLD) && defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 256 << 10);  // glibc would raise it to the largest block freed so far, and keep what is below
#endif
}

static uint64_t roundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }
uint64_t pageBytes() noexcept { return static_cast<uint64_t>(sysconf(_SC_PAGESIZE)); }

// Huge pages for what is several of them long: a small tensor would fill one alone. The end of a block has small pages.
static uint64_t mappedSize(uint64_t bytes) { return roundUp(bytes ? bytes : 1, pageBytes()); }

void* allocatePages(uint64_t bytes) noexcept {
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

void freePages(void* address, uint64_t bytes) noexcept {
  if (address) munmap(address, mappedSize(bytes));
}

uint64_t residentBytes(const void* address, uint64_t bytes) noexcept {
  uint64_t page = pageBytes(), from = reinterpret_cast<uint64_t>(address) / page * page;
  uint64_t end = reinterpret_cast<uint64_t>(address) + bytes, total = 0;
  List<Residence> seen(1 << 16);
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

void unmapFile(void* address, uint64_t bytes) noexcept { munmap(address, bytes); }

static void* run(void* it) {
  const Thread& thread = *static_cast<Thread*>(it);
  thread.work(thread.context);
  return nullptr;
}

bool startThread(Thread& thread) noexcept {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 8 << 20);  // glibc's usual size; macOS would give 512 kB, musl 128
  pthread_t id;
  const bool started = pthread_create(&id, &attributes, run, &thread) == 0;
  pthread_attr_destroy(&attributes);
  if (started) thread.handle = reinterpret_cast<void*>(id);
  return started;
}

[[gnu::nothrow]] void joinThread(Thread& thread) { pthread_join(reinterpret_cast<pthread_t>(thread.handle), nullptr); }

#ifdef __linux__
static long futex(const Number& number, int what, uint32_t value) { return syscall(SYS_futex, &number, what, value, nullptr, nullptr, 0); }
void sleepWhileIs(const Number& number, uint32_t old) noexcept { futex(number, FUTEX_WAIT_PRIVATE, old); }
void wakeAll(const Number& number) noexcept { futex(number, FUTEX_WAKE_PRIVATE, INT32_MAX); }
#else
// one bed for all: who sleeps there has waited long already
static pthread_mutex_t sleeping = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
void sleepWhileIs(const Number& number, uint32_t old) noexcept {
  pthread_mutex_lock(&sleeping);
  if (number.load() == old) pthread_cond_wait(&changed, &sleeping);
  pthread_mutex_unlock(&sleeping);
}
void wakeAll(const Number&) noexcept {
  pthread_mutex_lock(&sleeping);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&sleeping);
}
#endif

double secondsNow() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

// Linux gives the 8 kB of state to a process that asks (arch_prctl); containers may forbid the call.
Text refusesTiles() noexcept {
#ifdef SYS_arch_prctl
  constexpr int kTileData = 18, kAskPermission = 0x1023;  // XFEATURE_XTILEDATA, ARCH_REQ_XCOMP_PERM
  if (syscall(SYS_arch_prctl, kAskPermission, kTileData) != 0) return Text("the system refuses tiles: ") + strerror(errno);
  return "";
#else
  return "tiles are asked of Linux alone";
#endif
}

}  // namespace saqr
