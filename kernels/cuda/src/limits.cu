// Not operators: what a card does at best, the denominators of its benchmarks.
#include "device.cuh"

// Copy: to[i] = from[i], i < vectors of 16 bytes. A block copies 1024 of them, a thread four.
struct LimitCopyArgs {
  uint4* to;
  const uint4* from;
  int64_t vectors;
};

KERNEL_BOUNDS(limit_copy, LimitCopyArgs, 256, 8) {
  int64_t first = static_cast<int64_t>(blockIdx.x) * 1024 + threadIdx.x;
  uint4 v[4];
  UNROLL for (int k = 0; k < 4; k++)
    if (first + 256 * k < a.vectors) v[k] = load_nc(a.from + first + 256 * k);
  UNROLL for (int k = 0; k < 4; k++)
    if (first + 256 * k < a.vectors) store(a.to + first + 256 * k, v[k]);
}

// Products of bytes: each warp makes rounds * 8 matrix products of 16 x 32 x 8 (sm_70: each thread rounds * 8 * 32 dp4a, as
// many products). to (blocks * 256) gets sums, so that nothing is left out.
struct LimitProductsArgs {
  int* to;
  int64_t rounds;
};

KERNEL_BOUNDS(limit_products, LimitProductsArgs, 256, 1) {
  int total = 0;
#if ARCH >= 80
  int sums[8][4];
  UNROLL for (int i = 0; i < 8; i++)
    UNROLL for (int j = 0; j < 4; j++) sums[i][j] = threadIdx.x + 4 * i + j;  // or one of them could stand for all
  uint32_t w[4], x[2];
  UNROLL for (int i = 0; i < 4; i++) w[i] = 0x01020304u * (threadIdx.x + i);
  UNROLL for (int i = 0; i < 2; i++) x[i] = 0x01FF02FEu + threadIdx.x + i;
  for (int64_t r = 0; r < a.rounds; r++)
    UNROLL for (int i = 0; i < 8; i++) mma_s8(sums[i], w, x);
  UNROLL for (int i = 0; i < 8; i++)
    UNROLL for (int j = 0; j < 4; j++) total ^= sums[i][j];
#else
  int sums[8];
  UNROLL for (int i = 0; i < 8; i++) sums[i] = threadIdx.x + i;
  int w = 0x01020304 + threadIdx.x, x = 0x01FF02FE + threadIdx.x;
  for (int64_t r = 0; r < a.rounds; r++)
    UNROLL for (int j = 0; j < 32; j++)
      UNROLL for (int i = 0; i < 8; i++) sums[i] = dp4a(w, x, sums[i]);
  UNROLL for (int i = 0; i < 8; i++) total ^= sums[i];
#endif
  store(a.to + static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, total);
}
