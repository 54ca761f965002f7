// IQ4_NL: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(IQ4_NL, iq4_nl, 3)
