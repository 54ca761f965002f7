// The products of one format of weights. gemv_*_1 takes one column, gemv_*_8 takes up to 8 columns, gemv_*_32 up to 32 for each step in y of the grid; gemm_*_64
// has blocks of 64 x 64, gemm_*_128 of 128 x 128; cards without mma_s8 do without them. Bounds are what lets registers suffice.
#pragma once
#include "gemm.cuh"
#include "gemv_one.cuh"

#if ARCH >= 80
#define GEMM_64(Format, name, blocks) KERNEL_BOUNDS(gemm_##name##_64, ProductArgs, 128, blocks) { gemm<Format, Tiles<Format, 4, 1>>(a); }
#define GEMM_128(Format, name) KERNEL_BOUNDS(gemm_##name##_128, ProductArgs, 512, 1) { gemm<Format, Tiles<Format, 8, 2>>(a); }
#define FITTING(blocks) blocks
#else
#define FITTING(blocks) 1  // dp4a wants more registers, slower memory fewer warps
#define GEMM_64(Format, name, blocks)
#define GEMM_128(Format, name)
#endif
#define GEMV_1(Format, name) KERNEL_BOUNDS(gemv_##name##_1, ProductArgs, GEMV_THREADS, FITTING(3)) { gemv_one<Format>(a); }
#define GEMV_8(Format, name, depth, blocks) KERNEL_BOUNDS(gemv_##name##_8, ProductArgs, GEMV_THREADS, FITTING(blocks)) { gemv<Format, 8, depth>(a); }
#define GEMV_32(Format, name, blocks) KERNEL_BOUNDS(gemv_##name##_32, ProductArgs, GEMV_THREADS, FITTING(blocks)) { gemv<Format, 32, 1>(a); }

#define MATMUL_KERNELS(Format, name, depth) \
  GEMV_1(Format, name)                      \
  GEMV_8(Format, name, depth, 2)            \
  GEMV_32(Format, name, 2)                  \
  GEMM_64(Format, name, 4)                  \
  GEMM_128(Format, name)
