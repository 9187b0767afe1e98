// Windows, from version 10 on.
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#include <psapi.h>
#include <cerrno>
#include "list.hpp"
#include "system.hpp"

namespace saqr {

void returnLargeBlocks() noexcept {}  // its heap gives them back by itself

uint64_t pageBytes() noexcept {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

// errno of the last call that failed: what the caller tells is made of it
static int errorOf(DWORD code) {
  switch (code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND: return ENOENT;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION: return EACCES;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_OUTOFMEMORY: return ENOMEM;
    default: return EIO;
  }
}

// Committed at once: Windows promises no pages that it doesn't have. Huge pages take a privilege that users don't have.
void* allocatePages(uint64_t bytes) noexcept {
  void* address = VirtualAlloc(nullptr, bytes ? bytes : 1, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (!address) errno = errorOf(GetLastError());
  return address;
}

void freePages(void* address, uint64_t) noexcept {
  if (address) VirtualFree(address, 0, MEM_RELEASE);
}

uint64_t residentBytes(const void* address, uint64_t bytes) noexcept {
  const uint64_t page = pageBytes(), from = reinterpret_cast<uint64_t>(address) / page * page, end = reinterpret_cast<uint64_t>(address) + bytes;
  List<PSAPI_WORKING_SET_EX_INFORMATION> seen(1 << 12);
  uint64_t total = 0;
  for (uint64_t at = from; at < end;) {
    int64_t count = 0;
    for (; count < seen.size() && at < end; count++, at += page) seen[count].VirtualAddress = reinterpret_cast<void*>(at);
    if (!QueryWorkingSetEx(GetCurrentProcess(), seen.data(), static_cast<DWORD>(count * sizeof seen[0]))) return total;
    for (int64_t i = 0; i < count; i++) total += seen[i].VirtualAttributes.Valid ? page : 0;
  }
  return total;
}

// of UTF-8, with a zero at its end
static void widen(const char* text, List<wchar_t>& out) {
  const int length = MultiByteToWideChar(CP_UTF8, 0, text, -1, nullptr, 0);
  out.resize(length > 0 ? length : 1);
  out[0] = 0;
  MultiByteToWideChar(CP_UTF8, 0, text, -1, out.data(), length);
}

void* mapFile(const char* path, uint64_t* bytes) {
  // others may write beside it, rename it, or remove it once it is unmapped
  List<wchar_t> wide;
  widen(path, wide);
  HANDLE file = CreateFileW(wide.data(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                            FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) {
    errno = errorOf(GetLastError());
    return nullptr;
  }
  LARGE_INTEGER size;
  void* address = nullptr;
  if (GetFileSizeEx(file, &size) && size.QuadPart > 0) {
    HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (mapping) address = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    if (!address) errno = errorOf(GetLastError());
    if (mapping) CloseHandle(mapping);  // the view holds it
    *bytes = static_cast<uint64_t>(size.QuadPart);
  } else {
    errno = EINVAL;
  }
  CloseHandle(file);
  return address;
}

void unmapFile(void* address, uint64_t) noexcept { UnmapViewOfFile(address); }

static DWORD WINAPI run(void* it) {
  const Thread& thread = *static_cast<Thread*>(it);
  thread.work(thread.context);
  return 0;
}

bool startThread(Thread& thread) noexcept {
  thread.handle = CreateThread(nullptr, 8 << 20, run, &thread, STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);  // node.exe's own would be taken
  return thread.handle != nullptr;
}

[[gnu::nothrow]] void joinThread(Thread& thread) {
  WaitForSingleObject(thread.handle, INFINITE);
  CloseHandle(thread.handle);
}

// one bed for all: who sleeps there has waited long already
static SRWLOCK sleeping = SRWLOCK_INIT;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;
void sleepWhileIs(const Number& number, uint32_t old) noexcept {
  AcquireSRWLockExclusive(&sleeping);
  if (number.load() == old) SleepConditionVariableSRW(&changed, &sleeping, INFINITE, 0);
  ReleaseSRWLockExclusive(&sleeping);
}
void wakeAll(const Number&) noexcept {
  AcquireSRWLockExclusive(&sleeping);
  WakeAllConditionVariable(&changed);
  ReleaseSRWLockExclusive(&sleeping);
}

double secondsNow() noexcept {
  LARGE_INTEGER now, second;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&second);
  return static_cast<double>(now.QuadPart) / static_cast<double>(second.QuadPart);
}

Text refusesTiles() noexcept { return "tiles are asked of Linux alone"; }

}  // namespace saqr
