// What gorgonia.org/cu is linked against instead of libcuda: for every function a jump through a slot that is filled when the program
// starts, from the library that VERBATIM_CUDA_LIBRARY names or libcuda.so.1. Without a library there is a driver with no cards, so
// that the program starts anywhere. build.sh writes functions.h: FUNCTION(name) for each.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

enum { SUCCESS = 0, STUB_LIBRARY = 34 };

static int absent(void) { return STUB_LIBRARY; }
static int starts(unsigned flags) { return (void)flags, SUCCESS; }
static int no_devices(int* count) { return *count = 0, SUCCESS; }

#define FUNCTION(name) void* slot_##name;
#include "functions.h"
#undef FUNCTION

#if defined(__x86_64__)
#define JUMP(name) "jmp *slot_" name "(%rip)\n"
#elif defined(__aarch64__)
#define JUMP(name) "adrp x16, slot_" name "\nldr x16, [x16, :lo12:slot_" name "]\nbr x16\n"
#endif
#define FUNCTION(name) __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ":\n" JUMP(#name));
#include "functions.h"
#undef FUNCTION

__attribute__((constructor)) static void fill(void) {
  const char* path = getenv("VERBATIM_CUDA_LIBRARY");
  void* library = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
#define FUNCTION(name)                                     \
  slot_##name = library ? dlsym(library, #name) : NULL;    \
  if (!slot_##name) slot_##name = (void*)absent;
#include "functions.h"
#undef FUNCTION
  // A driver that does not start ends the program in package cu, before main; here it has no cards, and says why when asked again.
  int (*start)(unsigned) = (int (*)(unsigned))slot_cuInit;
  if (!library || start(0) != SUCCESS) {
    slot_cuInit = (void*)starts;
    slot_cuDeviceGetCount = (void*)no_devices;
  }
}
