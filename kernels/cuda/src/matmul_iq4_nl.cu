// Products of IQ4_NL weights. SPEC.md section 5.
#include "matmul.cuh"

MATMUL_KERNELS(IQ4_NL, iq4_nl, 2)
