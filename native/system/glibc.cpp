// Functions of a newer glibc, by which g++'s own runtime is made, for the library that runs on older ones too (compilers.mjs: portable). It alone
// sees these.
#include <unistd.h>

#define SAQR_HIDDEN extern "C" __attribute__((visibility("hidden")))

extern "C" __attribute__((visibility("hidden"))) char __libc_single_threaded;
char __libc_single_threaded = 0;  // as if there were always other threads

SAQR_HIDDEN unsigned arc4random() {
  unsigned bits = 0;
  while (getentropy(&bits, sizeof bits) != 0) {
  }
  return bits;
}
