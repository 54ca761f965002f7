// Activation codes of x (rows, cols), SPEC.md section 4. One warp a segment; the grid covers rows * segments warps.
#include "encode.cuh"

struct EncodeArgs {
  Codes out;
  const float* x;
  int rows, cols, segments, pad;
};

KERNEL_BOUNDS(encode, EncodeArgs, 256, 1) {
  int item = blockIdx.x * 8 + warp();
  int row = item / a.segments, segment = item % a.segments;
  if (row >= a.rows) return;
  float v[4];
  load4(v, a.x + static_cast<int64_t>(row) * a.cols, 128 * segment + 4 * lane(), a.cols);
  encode_segment(a.out, v, row, segment);
}
