// SwiGLU, SPEC.md section 9: dst[i] = silu(gate[i]) * up[i]. dst may be gate.
#include "encode.cuh"

struct SwigluArgs {
  float* dst;
  const float* gate;
  const float* up;
  int64_t elements;
};

DEVICE void swiglu4(float (&v)[4], const float* gate, const float* up, int64_t i, int64_t n) {
  float u[4];
  load4(v, gate, i, n);
  load4(u, up, i, n);
  UNROLL for (int k = 0; k < 4; k++) v[k] = i + k < n ? mul(silu(v[k]), u[k]) : 0.0f;
}

// Four elements a thread.
KERNEL_BOUNDS(swiglu, SwigluArgs, 256, 1) {
  int64_t i = 4 * (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x);
  if (i >= a.elements) return;
  float v[4];
  swiglu4(v, a.gate, a.up, i, a.elements);
  store4(a.dst, i, a.elements, v);
}

// The same on rows * cols elements, with the activation codes of the result; a warp a segment, as in encode.cu.
struct SwigluEncodeArgs {
  Codes out;
  float* dst;
  const float* gate;
  const float* up;
  int rows, cols, segments, pad;
};

KERNEL_BOUNDS(swiglu_encode, SwigluEncodeArgs, 256, 1) {
  int item = blockIdx.x * 8 + warp();
  int row = item / a.segments, segment = item % a.segments;
  if (row >= a.rows) return;
  int64_t first = static_cast<int64_t>(row) * a.cols;
  int i = 128 * segment + 4 * lane();
  float v[4];
  swiglu4(v, a.gate + first, a.up + first, i, a.cols);
  store4(a.dst + first, i, a.cols, v);
  encode_segment(a.out, v, row, segment);
}
