// F32, F16 and BF16 from the file to the layout of floats.cuh.
#include "floats.cuh"

KERNEL_BOUNDS(pack_floats, PackFloatsArgs, 256, 4) { pack_tiles(a); }
