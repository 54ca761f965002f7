// Q2_K: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(Q2_K, q2_k, 1)
