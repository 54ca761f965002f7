// The emulator's half of src/device.cuh: every name there, for a host compiler. Kernels see this file; what runs launches
// sees emulator.h. No standard header that declares sqrt, fma or div may come in here.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef ARCH
#define ARCH 80
#endif

#define DEVICE static inline __attribute__((always_inline))
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define UNROLL

namespace emulator {

// Where a kernel's source line stands; taken where a device function is called.
struct Site {
  const char* file;
  int line;
};
#define EMULATOR_SITE \
  ::emulator::Site site = { __builtin_FILE(), __builtin_LINE() }

// What the blocks of one host thread did.
struct Tally {
  uint64_t loads = 0, stores = 0, bytesRead = 0, bytesWritten = 0;
  uint64_t dp4a = 0, mma = 0, barriers = 0, shuffles = 0;
};

// The running thread. Its host thread never changes, so a fibre may keep a pointer to this. Tags number the blocks of all
// launches: those of this launch begin at tagFirst.
struct Thread {
  int index = 0, blockX = 0, blockY = 0, blockZ = 0;
  int threads = 0, gridX = 0, gridY = 0, gridZ = 0;
  uint32_t tag = 0, tagFirst = 0;
  Tally* tally = nullptr;
};
extern thread_local Thread* current __attribute__((tls_model("initial-exec")));

// Device memory lies in one reserved range, so that checks are look-ups: extents[i] is how many of the 256 bytes from
// base + 256 i are allocated, writers[i] the tag of the block that last wrote the four bytes from base + 4 i.
constexpr uint64_t reserved = uint64_t{1} << 38;
extern uint64_t base __attribute__((visibility("hidden")));
extern uint16_t* extents __attribute__((visibility("hidden")));
extern uint32_t* writers __attribute__((visibility("hidden")));
extern bool traffic __attribute__((visibility("hidden")));

// Cold paths and bookkeeping, in emulator.cc.
[[noreturn]] void fault(const char* what, const void* address, size_t bytes, Site site);
[[noreturn]] void conflict(const char* what, const void* address, uint32_t tag, Site site);
void record(const void* address, size_t bytes, bool stored, Site site);
uint32_t exchange(uint32_t value, int from, const char* what, Site site);
void meet_block(Site site);
void meet_warp(Site site);
void multiply(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site);
void async_copy(void* shared, const void* global, Site site);
void async_commit();
void async_wait(int newest);
void* shared_array(const void* declaration, size_t bytes, const char* name);
void* dynamic_shared();

struct Registration {
  Registration(const char* name, size_t argumentBytes, void (*body)(const void*), int threadsMax);
};

inline __attribute__((always_inline)) void check(const void* p, size_t bytes, Site site) {
  uint64_t offset = reinterpret_cast<uint64_t>(p) - base;
  if (__builtin_expect(offset >= reserved || (offset & (bytes - 1)) || extents[offset >> 8] < (offset & 255) + bytes, 0))
    fault(offset < reserved && (offset & (bytes - 1)) ? "misaligned address" : "illegal address", p, bytes, site);
}

// What another block of the launch writes may not be read.
inline __attribute__((always_inline)) void watch_load(const void* p, size_t bytes, Site site) {
  Thread* t = current;
  t->tally->loads++;
  t->tally->bytesRead += bytes;
  uint64_t word = (reinterpret_cast<uint64_t>(p) - base) / 4;
  for (size_t i = 0; i < (bytes + 3) / 4; i++) {
    uint32_t tag = __atomic_load_n(&writers[word + i], __ATOMIC_RELAXED);
    if (__builtin_expect(tag >= t->tagFirst && tag != t->tag, 0)) conflict("reads", p, tag, site);
  }
  if (__builtin_expect(traffic, 0)) record(p, bytes, false, site);
}
// Two blocks may write one place only with one value. (Stores of less than four bytes are not watched.)
inline __attribute__((always_inline)) void watch_store(const void* p, size_t bytes, const void* value, Site site) {
  Thread* t = current;
  t->tally->stores++;
  t->tally->bytesWritten += bytes;
  uint64_t word = (reinterpret_cast<uint64_t>(p) - base) / 4;
  for (size_t i = 0; i < bytes / 4; i++) {
    uint32_t tag = __atomic_exchange_n(&writers[word + i], t->tag, __ATOMIC_RELAXED);
    if (__builtin_expect(tag >= t->tagFirst && tag != t->tag, 0) && memcmp(p, value, bytes) != 0) conflict("writes", p, tag, site);
  }
  if (__builtin_expect(traffic, 0)) record(p, bytes, true, site);
}

template <class To, class From> inline __attribute__((always_inline)) To cast_bits(From v) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To r;
  memcpy(&r, &v, sizeof r);
  return r;
}

}  // namespace emulator

#define EMULATOR_KERNEL(name, Args, threads)                                                                            \
  static void name##_body(const Args& a);                                                                               \
  static void name##_run(const void* a) { name##_body(*static_cast<const Args*>(a)); }                                  \
  static_assert(sizeof(Args) % 8 == 0, "arguments are whole 8 bytes");                                                  \
  static const ::emulator::Registration name##_registration{#name, sizeof(Args), name##_run, threads};                  \
  static void name##_body(const Args& a)
#define KERNEL(name, Args) EMULATOR_KERNEL(name, Args, 1024)
#define KERNEL_BOUNDS(name, Args, threads, blocks) EMULATOR_KERNEL(name, Args, threads)

#define SHARED(T, name, n)                                                                        \
  static const char name##_declaration = 0;                                                       \
  T* const name = static_cast<T*>(::emulator::shared_array(&name##_declaration, sizeof(T) * (n), #name))
#define DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::emulator::dynamic_shared())

struct EmulatorIndex {
  int x, y, z;
};
#define threadIdx (EmulatorIndex{::emulator::current->index, 0, 0})
#define blockIdx (EmulatorIndex{::emulator::current->blockX, ::emulator::current->blockY, ::emulator::current->blockZ})
#define blockDim (EmulatorIndex{::emulator::current->threads, 1, 1})
#define gridDim (EmulatorIndex{::emulator::current->gridX, ::emulator::current->gridY, ::emulator::current->gridZ})

DEVICE void sync_block(EMULATOR_SITE) { emulator::meet_block(site); }
DEVICE void sync_warp(EMULATOR_SITE) { emulator::meet_warp(site); }

DEVICE uint32_t bits(float v) { return emulator::cast_bits<uint32_t>(v); }
DEVICE float from_bits(uint32_t v) { return emulator::cast_bits<float>(v); }

// from is masked as the card does.
DEVICE int shuffle_xor(int v, int mask, EMULATOR_SITE) {
  int from = ((emulator::current->index & 31) ^ mask) & 31;
  return static_cast<int>(emulator::exchange(static_cast<uint32_t>(v), from, "shuffle_xor", site));
}
DEVICE int shuffle(int v, int from, EMULATOR_SITE) {
  return static_cast<int>(emulator::exchange(static_cast<uint32_t>(v), from & 31, "shuffle", site));
}
DEVICE int shuffle_down(int v, int n, EMULATOR_SITE) {
  int lane = emulator::current->index & 31;
  return static_cast<int>(emulator::exchange(static_cast<uint32_t>(v), lane + n > 31 ? lane : lane + n, "shuffle_down", site));
}

DEVICE uint32_t max_warp(uint32_t v, EMULATOR_SITE) {
  for (int h = 16; h > 0; h /= 2) {
    uint32_t other = static_cast<uint32_t>(shuffle_xor(static_cast<int>(v), h, site));
    v = other > v ? other : v;
  }
  return v;
}

// -ffp-contract=off: one rounding each.
DEVICE float add(float a, float b) { return a + b; }
DEVICE float sub(float a, float b) { return a - b; }
DEVICE float mul(float a, float b) { return a * b; }
DEVICE float div(float a, float b) { return a / b; }
DEVICE float sqrt(float a) { return __builtin_sqrtf(a); }
DEVICE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
DEVICE float to_float(int v) { return static_cast<float>(v); }

DEVICE float half_to_float(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, magnitude = static_cast<uint32_t>(h & 0x7FFF) << 13;
  if (magnitude >= 0x7C00u << 13) return from_bits(sign | magnitude | 0x7F800000);
  if (magnitude >= 0x0400u << 13) return from_bits(sign | (magnitude + (112u << 23)));
  return from_bits(sign | bits(static_cast<float>(h & 0x7FFF) * 0x1p-24f));
}
DEVICE uint16_t float_to_half(float v) {
  uint32_t u = bits(v), sign = u >> 16 & 0x8000;
  u &= 0x7FFFFFFF;
  if (u > 0x7F800000) return 0x7FFF;
  if (u >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);
  if (u >= 0x38800000) return static_cast<uint16_t>(sign | (u + 0x0FFF + (u >> 13 & 1) - (112u << 23)) >> 13);
  return static_cast<uint16_t>(sign | (bits(from_bits(u) + 0.5f) - 0x3F000000));
}

DEVICE int dp4a(int a, int b, int c) {
  emulator::current->tally->dp4a++;
  for (int i = 0; i < 32; i += 8) c += static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i);
  return c;
}
DEVICE uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t both = static_cast<uint64_t>(b) << 32 | a;
  uint32_t r = 0;
  for (int i = 0; i < 4; i++) r |= static_cast<uint32_t>(both >> 8 * (selector >> 4 * i & 7) & 255) << 8 * i;
  return r;
}
#if ARCH >= 80
DEVICE void mma_s8(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], EMULATOR_SITE) {
  emulator::multiply(c, a, b, site);
}
#endif

template <class T> DEVICE T load(const T* p, EMULATOR_SITE) {
  emulator::check(p, sizeof(T), site);
  emulator::watch_load(p, sizeof(T), site);
  T r;
  memcpy(&r, p, sizeof r);
  return r;
}
template <class T> DEVICE T load_nc(const T* p, EMULATOR_SITE) { return load(p, site); }
template <class T> struct EmulatorSame {
  using type = T;
};
template <class T> DEVICE void store(T* p, typename EmulatorSame<T>::type v, EMULATOR_SITE) {
  emulator::check(p, sizeof(T), site);
  emulator::watch_store(p, sizeof(T), &v, site);
  memcpy(p, &v, sizeof v);
}

// The copy happens as late as the card may do it: at the wait that asks for it.
DEVICE void cp_async16(void* shared, const void* global, EMULATOR_SITE) {
  emulator::check(global, 16, site);
  emulator::async_copy(shared, global, site);
}
DEVICE void cp_async_commit() { emulator::async_commit(); }
template <int n> DEVICE void cp_async_wait() { emulator::async_wait(n); }
