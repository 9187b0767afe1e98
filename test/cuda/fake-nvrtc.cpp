// NVRTC of any version, for any cards: it says what it is and compiles "code for the card" out of every source.
#include <cstring>
#define API extern "C" __attribute__((visibility("default"))) int
static const int archs[] = {ARCHS};
static const char code[] = "code for the card";
API nvrtcVersion(int* major, int* minor) { *major = MAJOR; *minor = MINOR; return 0; }
API nvrtcGetNumSupportedArchs(int* count) { *count = sizeof archs / sizeof *archs; return 0; }
API nvrtcGetSupportedArchs(int* out) { std::memcpy(out, archs, sizeof archs); return 0; }
API nvrtcCreateProgram(unsigned long long* program) { *program = 1; return 0; }
API nvrtcCompileProgram() { return 0; }
API nvrtcGetProgramLogSize(size_t* size) { *size = 0; return 0; }
API nvrtcGetProgramLog() { return 0; }
API nvrtcGetCUBINSize(unsigned long long, size_t* size) { *size = sizeof code; return 0; }
API nvrtcGetCUBIN(unsigned long long, char* out) { std::memcpy(out, code, sizeof code); return 0; }
API nvrtcDestroyProgram() { return 0; }
extern "C" __attribute__((visibility("default"))) const char* nvrtcGetErrorString(int) { return "an error"; }
