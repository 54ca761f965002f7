// Attention of heads of any length up to 256: partial results. SPEC.md section 8.
#include "attend.cuh"
#include "attend_tile.cuh"

KERNEL_BOUNDS(attend_1_any, AttentionArgs, 128, 4) { attend<1, 0>(a); }
KERNEL_BOUNDS(attend_2_any, AttentionArgs, 128, 4) { attend<2, 0>(a); }
KERNEL_BOUNDS(attend_4_any, AttentionArgs, 128, 4) { attend<4, 0>(a); }
KERNEL_BOUNDS(attend_8_any, AttentionArgs, 128, 3) { attend<8, 0>(a); }
KERNEL_BOUNDS(attend_tile_any, AttentionArgs, 128, 3) { attend_tile<0>(a); }
