// Q3_K: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(Q3_K, q3_k, 1)
