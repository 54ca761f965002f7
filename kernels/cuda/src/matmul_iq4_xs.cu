// Products of IQ4_XS weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(IQ4_XS, iq4_xs, 1)
