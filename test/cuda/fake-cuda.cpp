// A driver of cards that there aren't: FAKE_ARCHS names them by compute capability, FAKE_INIT and FAKE_RETAIN are what cuInit and the context answer.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#define API extern "C" __attribute__((visibility("default"))) int
static const char* said(const char* name) { const char* value = std::getenv(name); return value ? value : ""; }
static int arch(int ordinal) {
  const char* at = said("FAKE_ARCHS");
  for (; ordinal > 0; ordinal--) at = std::strchr(at, ',') + 1;
  return std::atoi(at);
}
API cuDriverGetVersion(int* version) { *version = 13000; return 0; }
API cuInit(unsigned) { return std::atoi(said("FAKE_INIT")); }
API cuDeviceGetCount(int* count) {
  const char* at = said("FAKE_ARCHS");
  *count = *at ? 1 : 0;
  for (; *at; at++) *count += *at == ',';
  return 0;
}
API cuDeviceGet(int* device, int ordinal) { *device = ordinal; return 0; }
API cuDeviceGetName(char* name, int bytes, int) { std::snprintf(name, bytes, "Fake 80GB"); return 0; }
API cuDeviceGetPCIBusId(char* bus, int bytes, int device) { std::snprintf(bus, bytes, "0000:3%d:00.0", device); return 0; }
API cuDeviceGetUuid_v2(unsigned char* uuid, int device) { std::memset(uuid, device, 16); return 0; }
API cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? arch(device) / 10 : attribute == 76 ? arch(device) % 10 : attribute == 16 ? 132 : 0;
  return 0;
}
API cuDevicePrimaryCtxRetain(void** context, int device) { *context = (void*)(0xc0L + device); return std::atoi(said("FAKE_RETAIN")); }
API cuMemGetInfo_v2(size_t* free, size_t* total) { *free = 70L << 30; *total = 80L << 30; return 0; }
API cuGetErrorName(int, const char** name) { *name = "CUDA_ERROR"; return 0; }
API cuGetErrorString(int, const char** text) { *text = "an error"; return 0; }
// all else that saqr looks up, as the test lists it: done, without a result
#define OTHER(name) API name() { return 0; }
#include "others.inc"
