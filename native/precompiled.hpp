// What kernels include of the system, read once a variant instead of sixty times (build.mjs): it halves what compiling takes. A source still includes
// what it uses. The list is held to what no kernel's code changes by: every object is the same, byte for byte, as without it (with <string> and
// <vector>, or headers of saqr's, g++ orders the instructions of attention otherwise; clang's code doesn't depend on it).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#if defined(__clang__)
#include <atomic>
#endif
