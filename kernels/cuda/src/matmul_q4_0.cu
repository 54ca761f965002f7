// Q4_0: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(Q4_0, q4_0, 3)
