// Attention of heads of 128 elements: partial results. SPEC.md section 8.
#include "attend.cuh"
#include "attend_tile.cuh"

KERNEL_BOUNDS(attend_1_128, AttentionArgs, 128, 4) { attend<1, 128>(a); }
KERNEL_BOUNDS(attend_2_128, AttentionArgs, 128, 4) { attend<2, 128>(a); }
KERNEL_BOUNDS(attend_4_128, AttentionArgs, 128, 4) { attend<4, 128>(a); }
KERNEL_BOUNDS(attend_8_128, AttentionArgs, 128, 3) { attend<8, 128>(a); }
KERNEL_BOUNDS(attend_tile_128, AttentionArgs, 128, ARCH >= 80 ? 4 : 3) { attend_tile<128>(a); }
