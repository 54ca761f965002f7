// The kernels of one format of weights. gemv_*_8 takes up to 8 columns, gemv_*_32 up to 32 for each step in y of the grid; gemm_*_64
// has blocks of 64 x 64, gemm_*_128 of 128 x 128; cards without mma_s8 do without them.
#pragma once
#include "embed.cuh"
#include "gemm.cuh"
#include "gemv.cuh"
#include "pack.cuh"

#if ARCH >= 80
#define GEMM_KERNELS(Format, name)                                                               \
  KERNEL_BOUNDS(gemm_##name##_64, ProductArgs, 128, 4) { gemm<Format, Tiles<Format, 4, 1>>(a); } \
  KERNEL_BOUNDS(gemm_##name##_128, ProductArgs, 512, 1) { gemm<Format, Tiles<Format, 8, 2>>(a); }
#else
#define GEMM_KERNELS(Format, name)
#endif

#define MATMUL_KERNELS(Format, name, depth)                                                   \
  KERNEL_BOUNDS(pack_##name, PackArgs, 32, 16) { pack<Format>(a); }                           \
  KERNEL_BOUNDS(embed_##name, EmbedArgs, 128, 4) { embed<Format>(a); }                        \
  KERNEL_BOUNDS(gemv_##name##_8, ProductArgs, GEMV_THREADS, 2) { gemv<Format, 1, depth>(a); } \
  KERNEL_BOUNDS(gemv_##name##_32, ProductArgs, GEMV_THREADS, 2) { gemv<Format, 4, 1>(a); }    \
  GEMM_KERNELS(Format, name)
