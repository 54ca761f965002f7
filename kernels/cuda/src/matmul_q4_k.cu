// Q4_K: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(Q4_K, q4_k, 1)
