// IQ4_XS: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(IQ4_XS, iq4_xs, 1)
