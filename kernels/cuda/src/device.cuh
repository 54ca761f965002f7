// What the kernels may use of a CUDA device, for clang without a toolkit (PTX) and for the emulator (a CPU). A name means
// the same in both. Kernels use nothing else: no + - * / on floats, no plain access to global memory.
//
// Vocabulary: a launch runs grid.x*grid.y*grid.z blocks of blockDim.x threads; a warp is 32 threads of a block.
// ARCH is 70 or 80: what the PTX is made for. The emulator has one too, so that both paths are tested.
#pragma once

#if defined(EMULATED)
#include "../emulator/device.h"
#else

using int8_t = signed char;
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long long;
using uint64_t = unsigned long long;

// The architecture of this PTX.
#define ARCH (__CUDA_ARCH__ / 10)

#define DEVICE static inline __attribute__((device, always_inline))
#define DEVICE_MEMBER inline __attribute__((device, always_inline))

// KERNEL(name, Args) { ... a.field ... }: an entry point with one argument block, a struct of whole 8 bytes.
#define KERNEL(name, Args) extern "C" __attribute__((global)) void name(const Args a)
// The same, with the threads of a block and the blocks that shall fit on a multiprocessor at once (for the registers).
#define KERNEL_BOUNDS(name, Args, threads, blocks) \
  extern "C" __attribute__((global, launch_bounds(threads, blocks))) void name(const Args a)

// SHARED(T, name, n): T* name, n elements of the block's memory. DYNAMIC_SHARED(T, name): what the launch asked for.
#define SHARED(T, name, n)                                          \
  static __attribute__((shared, aligned(16))) T name##_storage[(n)];  \
  T* const name = name##_storage
extern "C" __attribute__((shared, aligned(16))) char dynamic_shared_storage[];
#define DYNAMIC_SHARED(T, name) T* const name = reinterpret_cast<T*>(dynamic_shared_storage)

#define UNROLL _Pragma("unroll")

struct ThreadIndex {
  __declspec(property(get = get_x)) int x;
  DEVICE int get_x() { return __nvvm_read_ptx_sreg_tid_x(); }
};
struct BlockIndex {
  __declspec(property(get = get_x)) int x;
  __declspec(property(get = get_y)) int y;
  __declspec(property(get = get_z)) int z;
  DEVICE int get_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
  DEVICE int get_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
  DEVICE int get_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }
};
struct BlockSize {
  __declspec(property(get = get_x)) int x;
  DEVICE int get_x() { return __nvvm_read_ptx_sreg_ntid_x(); }
};
struct GridSize {
  __declspec(property(get = get_x)) int x;
  __declspec(property(get = get_y)) int y;
  __declspec(property(get = get_z)) int z;
  DEVICE int get_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
  DEVICE int get_y() { return __nvvm_read_ptx_sreg_nctaid_y(); }
  DEVICE int get_z() { return __nvvm_read_ptx_sreg_nctaid_z(); }
};
extern const __attribute__((device, weak)) ThreadIndex threadIdx;
extern const __attribute__((device, weak)) BlockIndex blockIdx;
extern const __attribute__((device, weak)) BlockSize blockDim;
extern const __attribute__((device, weak)) GridSize gridDim;

// Barriers. All threads of the block (of the warp) arrive, at the same line.
DEVICE void sync_block() { __syncthreads(); }
DEVICE void sync_warp() { __nvvm_bar_warp_sync(0xFFFFFFFF); }

// Bits and numbers.
DEVICE uint32_t bits(float v) { return __builtin_bit_cast(uint32_t, v); }
DEVICE float from_bits(uint32_t v) { return __builtin_bit_cast(float, v); }

// Shuffles: all 32 lanes take part. shuffle_down gives a lane its own value where lane + n > 31.
DEVICE int shuffle_xor(int v, int mask) { return __nvvm_shfl_sync_bfly_i32(0xFFFFFFFF, v, mask, 31); }
DEVICE int shuffle(int v, int from) { return __nvvm_shfl_sync_idx_i32(0xFFFFFFFF, v, from, 31); }
DEVICE int shuffle_down(int v, int n) { return __nvvm_shfl_sync_down_i32(0xFFFFFFFF, v, n, 31); }

// The largest of the lanes' values; all get it.
DEVICE uint32_t max_warp(uint32_t v) {
#if ARCH >= 80
  uint32_t r;
  asm("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(r) : "r"(v));
  return r;
#else
  UNROLL for (int h = 16; h > 0; h /= 2) {
    uint32_t other = static_cast<uint32_t>(shuffle_xor(static_cast<int>(v), h));
    v = other > v ? other : v;
  }
  return v;
#endif
}

// f32 arithmetic, one rounding to nearest even each, subnormals kept.
DEVICE float add(float a, float b) { return __nvvm_add_rn_f(a, b); }
DEVICE float sub(float a, float b) { return __nvvm_add_rn_f(a, -b); }
DEVICE float mul(float a, float b) { return __nvvm_mul_rn_f(a, b); }
DEVICE float div(float a, float b) { return __nvvm_div_rn_f(a, b); }
DEVICE float sqrt(float a) { return __nvvm_sqrt_rn_f(a); }
DEVICE float fma(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
DEVICE float to_float(int v) { return static_cast<float>(v); }  // exact for |v| <= 2^24; kernels use it for no more

// f16: exact to f32; from f32 to nearest even, infinite from 65520 on.
DEVICE float half_to_float(uint16_t h) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h));
  return r;
}
DEVICE uint16_t float_to_half(float v) {
  uint16_t r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(v));
  return r;
}

// Four products of signed bytes, added to c.
DEVICE int dp4a(int a, int b, int c) {
  int r;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
  return r;
}
// Byte i of the result is byte (selector >> 4i) & 7 of b:a (a is bytes 0..3). Bit 3 of a selector is 0.
DEVICE uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector) { return __nvvm_prmt(a, b, selector); }

#if ARCH >= 80
// c (16, 8) += a (16, 32) · b (32, 8) over a warp. With g = lane / 4, t = lane % 4: a[0], a[2] are row g, a[1], a[3] row g+8,
// of columns 4t.. and 16+4t..; b[0], b[1] are rows 4t.. and 16+4t.. of column g; c[0], c[1] are row g, c[2], c[3] row g+8 of
// columns 2t, 2t+1.
DEVICE void mma_s8(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// Global memory. T has 1, 2, 4, 8 or 16 bytes and lies at a multiple of its size. GLOBAL tells the compiler where.
#define GLOBAL __attribute__((address_space(1)))
template <int bytes> struct Raw;
template <> struct Raw<1> { using type = uint8_t; };
template <> struct Raw<2> { using type = uint16_t; };
template <> struct Raw<4> { using type = uint32_t; };
template <> struct Raw<8> { using type = uint32_t __attribute__((ext_vector_type(2))); };
template <> struct Raw<16> { using type = uint32_t __attribute__((ext_vector_type(4))); };

template <class T> DEVICE T load(const T* p) {
  using R = typename Raw<sizeof(T)>::type;
  return __builtin_bit_cast(T, *(const GLOBAL R*)p);
}
template <class T> DEVICE void store(T* p, T v) {
  using R = typename Raw<sizeof(T)>::type;
  *(GLOBAL R*)p = __builtin_bit_cast(R, v);
}
// The same for what the launch does not write and reads about once (weights): past the L1 cache.
template <class T> DEVICE T load_nc(const T* p) {
  auto g = (const GLOBAL void*)p;
  if constexpr (sizeof(T) == 16) {
    typename Raw<16>::type r;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(r.x), "=r"(r.y), "=r"(r.z), "=r"(r.w) : "l"(g));
    return __builtin_bit_cast(T, r);
  } else if constexpr (sizeof(T) == 8) {
    typename Raw<8>::type r;
    asm("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];" : "=r"(r.x), "=r"(r.y) : "l"(g));
    return __builtin_bit_cast(T, r);
  } else if constexpr (sizeof(T) == 4) {
    uint32_t r;
    asm("ld.global.nc.u32 %0, [%1];" : "=r"(r) : "l"(g));
    return __builtin_bit_cast(T, r);
  } else {
    static_assert(sizeof(T) == 2 || sizeof(T) == 1, "1, 2, 4, 8 or 16 bytes");
    uint16_t r;
    if constexpr (sizeof(T) == 2)
      asm("ld.global.nc.u16 %0, [%1];" : "=h"(r) : "l"(g));
    else
      asm("ld.global.nc.u8 %0, [%1];" : "=h"(r) : "l"(g));
    return __builtin_bit_cast(T, static_cast<typename Raw<sizeof(T)>::type>(r));
  }
}

// Copies of 16 bytes from global to shared memory that run beside the program. cp_async_wait<n> waits until at most the n
// newest groups of this thread are under way; other threads see the bytes after a barrier. Before sm_80: at once.
DEVICE void cp_async16(void* shared, const void* global) {
#if ARCH >= 80
  auto s = (unsigned)(unsigned long long)(__attribute__((address_space(3))) void*)shared;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(s), "l"((const GLOBAL void*)global) : "memory");
#else
  using R = Raw<16>::type;
  *(__attribute__((address_space(3))) R*)shared = *(const GLOBAL R*)global;
#endif
}
DEVICE void cp_async_commit() {
#if ARCH >= 80
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
template <int n> DEVICE void cp_async_wait() {
#if ARCH >= 80
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
#endif
}

#endif  // EMULATED

// Vectors for load and store.
template <class T, int n> struct alignas(sizeof(T) * n) vec {
  T v[n];
  DEVICE_MEMBER T& operator[](int i) { return v[i]; }
  DEVICE_MEMBER const T& operator[](int i) const { return v[i]; }
};
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(4) ushort2 { uint16_t x, y; };
struct alignas(8) ushort4 { uint16_t x, y, z, w; };
struct alignas(4) char4 { int8_t x, y, z, w; };

// The thread's place in its block.
DEVICE int lane() { return threadIdx.x % 32; }
DEVICE int warp() { return threadIdx.x / 32; }

template <class T> DEVICE T min(T a, T b) { return b < a ? b : a; }
template <class T> DEVICE T max(T a, T b) { return a < b ? b : a; }

// The integer nearest to v, ties to even, for |v| <= 2^22: in 1.5 * 2^23 + v the last bit counts units.
DEVICE int rne_to_int(float v) { return static_cast<int>(bits(add(v, 12582912.0f))) - 0x4B400000; }

// SPEC.md section 2.
DEVICE float exp_canonical(float x) {
  int n = rne_to_int(mul(x, from_bits(0x3FB8AA3B)));
  float nf = to_float(n);
  float r = fma(nf, from_bits(0xBF317200), x);
  r = fma(nf, from_bits(0xB5BFBE8E), r);
  float p = fma(from_bits(0x3AB511E8), r, from_bits(0x3C091D10));
  p = fma(p, r, from_bits(0x3D2AAC79));
  p = fma(p, r, from_bits(0x3E2AAA49));
  p = fma(p, r, from_bits(0x3EFFFFFE));
  p = fma(p, r, 1.0f);
  p = fma(p, r, 1.0f);
  p = mul(p, from_bits(static_cast<uint32_t>(n + 127) << 23));
  // Beyond the range the lines above are meaningless but harmless.
  if (x > 88.0f) p = from_bits(0x7F800000);
  if (x < -87.0f) p = 0.0f;
  return x != x ? x : p;
}
DEVICE float silu(float x) { return div(x, add(1.0f, exp_canonical(-x))); }

// The tree sum of SPEC.md section 1.5 of the 32 lanes' values: all lanes get it. (v[i] ⊕ v[i+h] with the operands exchanged
// in the upper half has the same bits, so every lane walks the same tree.)
DEVICE float shuffle_xor(float v, int mask) { return from_bits(shuffle_xor(static_cast<int>(bits(v)), mask)); }
DEVICE float shuffle(float v, int from) { return from_bits(shuffle(static_cast<int>(bits(v)), from)); }
DEVICE float shuffle_down(float v, int n) { return from_bits(shuffle_down(static_cast<int>(bits(v)), n)); }
DEVICE uint32_t shuffle_xor(uint32_t v, int mask) { return shuffle_xor(static_cast<int>(v), mask); }
DEVICE uint32_t shuffle(uint32_t v, int from) { return shuffle(static_cast<int>(v), from); }
DEVICE uint32_t shuffle_down(uint32_t v, int n) { return shuffle_down(static_cast<int>(v), n); }
DEVICE float tree_sum(float v) {
  UNROLL for (int h = 16; h > 0; h /= 2) v = add(v, shuffle_xor(v, h));
  return v;
}
