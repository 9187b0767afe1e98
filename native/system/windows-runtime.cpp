// What a library of Windows needs to begin, and what its code asks of a runtime that Windows hasn't: else the cross compiler would compile all of
// MinGW's, a minute of a core. The C library is Windows' own.
#include <windows.h>
#include <cmath>

extern "C" {
extern void (*__CTOR_LIST__[])();  // from 1 on, null at the end

int _fltused = 0;  // the linker asks for it where there are floats

BOOL WINAPI DllMainCRTStartup(HINSTANCE, DWORD reason, LPVOID) {
  if (reason == DLL_PROCESS_ATTACH) {
    for (int i = 1; __CTOR_LIST__[i]; i++) __CTOR_LIST__[i]();
  }
  return TRUE;
}

// clang asks for both at once
[[clang::optnone]] void sincos(double x, double* sine, double* cosine) {
  *sine = sin(x);
  *cosine = cos(x);
}

// Touches each page of a frame of rax bytes that is about to be made, as Windows gives a thread's pages one after the other. Keeps every register.
[[gnu::naked]] void ___chkstk_ms() {
  __asm__(
      "push %rcx\n"
      "push %rax\n"
      "lea 24(%rsp), %rcx\n"
      "1: cmp $4096, %rax\n"
      "jb 2f\n"
      "sub $4096, %rcx\n"
      "testq %rcx, (%rcx)\n"
      "sub $4096, %rax\n"
      "jmp 1b\n"
      "2: sub %rax, %rcx\n"
      "testq %rcx, (%rcx)\n"
      "pop %rax\n"
      "pop %rcx\n"
      "ret\n");
}
}
