// Attention of heads of 64 elements: partial results. SPEC.md section 8.
#include "attend.cuh"
#include "attend_tile.cuh"

KERNEL_BOUNDS(attend_1_64, AttentionArgs, 128, 6) { attend<1, 64>(a); }
KERNEL_BOUNDS(attend_2_64, AttentionArgs, 128, 6) { attend<2, 64>(a); }
KERNEL_BOUNDS(attend_4_64, AttentionArgs, 128, ARCH >= 80 ? 6 : 3) { attend<4, 64>(a); }
KERNEL_BOUNDS(attend_8_64, AttentionArgs, 128, 3) { attend<8, 64>(a); }
KERNEL_BOUNDS(attend_tile_64, AttentionArgs, 128, ARCH >= 80 ? 4 : 3) { attend_tile<64>(a); }
