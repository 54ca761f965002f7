// Sums, SPEC.md section 9.
#include "vector.cuh"

// Residual: dst[i] = dst[i] + src[i], i < elements. Four elements a thread.
struct AddArgs {
  float* dst;
  const float* src;
  int64_t elements;
};

KERNEL_BOUNDS(add_elements, AddArgs, 256, 1) {
  int64_t i = 4 * (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  if (i >= a.elements) return;
  float v[4], w[4];
  load4(v, a.dst, i, a.elements);
  load4(w, a.src, i, a.elements);
  UNROLL for (int k = 0; k < 4; k++) v[k] = add(v[k], w[k]);
  store4(a.dst, i, a.elements, v);
}

// Bias: dst[r][i] = dst[r][i] + row[i] in every row r, for up to three dst (rows, n) at once: those of queries, keys and
// values. The grid is (rows, ceil(largest n / 1024), how many dst).
struct AddRowArgs {
  float* dst[3];
  const float* row[3];
  int n[3], pad;
};

KERNEL_BOUNDS(add_row, AddRowArgs, 256, 1) {
  // Not a.dst[blockIdx.z]: arguments at a variable place would be copied to slow memory first.
  int z = blockIdx.z, n = z == 0 ? a.n[0] : z == 1 ? a.n[1] : a.n[2];
  float* dst = z == 0 ? a.dst[0] : z == 1 ? a.dst[1] : a.dst[2];
  const float* row = z == 0 ? a.row[0] : z == 1 ? a.row[1] : a.row[2];
  int i = 4 * (blockIdx.y * blockDim.x + threadIdx.x);
  if (i >= n) return;
  dst += static_cast<int64_t>(blockIdx.x) * n;
  float v[4], w[4];
  load4(v, dst, i, n);
  load4(w, row, i, n);
  UNROLL for (int k = 0; k < 4; k++) v[k] = add(v[k], w[k]);
  store4(dst, i, n, v);
}
