// Q6_K: from the file to products. SPEC.md sections 3, 5 and 9.
#include "matmul.cuh"

MATMUL_KERNELS(Q6_K, q6_k, 1)
