// RMSNorm, SPEC.md section 6: dst[i] = (x[i] * r) * weight[i] of each row of n elements, r from the strided sum of squares.
#include "encode.cuh"

// x is src, or src + addend, which then also becomes src (the residual before a norm). Codes of dst are made as well if
// codes.codes is not 0 (the product behind a norm).
struct NormArgs {
  float* dst;
  float* src;
  const float* addend;
  const float* weight;
  Codes codes;
  int n;
  float eps;
};

constexpr int held_elements = 8192;

// p = fma(x, x, p) for the elements of a lane in order. The reads go ahead of the chain of additions.
DEVICE float add_squares(const float* x, int n, float p) {
  int i = lane();
  for (; i + 7 * 32 < n; i += 8 * 32) {
    float v[8];
    UNROLL for (int k = 0; k < 8; k++) v[k] = x[i + 32 * k];
    UNROLL for (int k = 0; k < 8; k++) p = fma(v[k], v[k], p);
  }
  for (; i < n; i += 32) p = fma(x[i], x[i], p);
  return p;
}

DEVICE float norm_factor(float p, int n, float eps) {
  return div(1.0f, sqrt(add(div(tree_sum(p), to_float(n)), eps)));
}

// One block a row: all threads fetch it, warp 0 adds, since the sum has 32 chains and no more; then a warp a segment.
KERNEL_BOUNDS(rms_norm, NormArgs, 1024, 1) {
  SHARED(float, held, held_elements);
  SHARED(float, factor, 1);
  int row = blockIdx.x, n = a.n;
  float* x = a.src + static_cast<int64_t>(row) * n;
  float p = 0.0f;
  for (int first = 0; first < n; first += held_elements) {
    int end = min(n, first + held_elements);
    if (first > 0) sync_block();
    for (int i = first + 4 * threadIdx.x; i < end; i += 4 * blockDim.x) {
      float v[4];
      load4(v, x, i, n);
      if (a.addend != nullptr) {
        float w[4];
        load4(w, a.addend + static_cast<int64_t>(row) * n, i, n);
        UNROLL for (int k = 0; k < 4; k++) v[k] = add(v[k], w[k]);
        store4(x, i, n, v);
      }
      *reinterpret_cast<float4*>(held + i - first) = float4{v[0], v[1], v[2], v[3]};
    }
    sync_block();
    if (warp() == 0) p = add_squares(held, end - first, p);
  }
  if (warp() == 0) {
    float r = norm_factor(p, n, a.eps);
    if (lane() == 0) factor[0] = r;
  }
  sync_block();

  float r = factor[0];
  int segments = (n + 127) / 128;
  for (int segment = warp(); segment < segments; segment += blockDim.x / 32) {
    int i = 128 * segment + 4 * lane();
    float v[4], w[4];
    if (n > held_elements) {
      load4(v, x, i, n);
    } else {
      UNROLL for (int k = 0; k < 4; k++) v[k] = i + k < n ? held[i + k] : 0.0f;
    }
    load4(w, a.weight, i, n);
    UNROLL for (int k = 0; k < 4; k++) v[k] = i + k < n ? mul(mul(v[k], r), w[k]) : 0.0f;
    store4(a.dst + static_cast<int64_t>(row) * n, i, n, v);
    if (a.codes.codes != nullptr) encode_segment(a.codes, v, row, segment);
  }
}

// One warp a row, for short rows (the heads of a model with head norms).
struct ShortNormArgs {
  float* dst;
  const float* src;
  const float* weight;
  int n, rows;
  float eps;
  int pad;
};

KERNEL_BOUNDS(rms_norm_short, ShortNormArgs, 256, 1) {
  int row = blockIdx.x * 8 + warp(), n = a.n;
  if (row >= a.rows) return;
  const float* x = a.src + static_cast<int64_t>(row) * n;
  float p = 0.0f;
  for (int i = lane(); i < n; i += 32) {
    float v = load(x + i);
    p = fma(v, v, p);
  }
  float r = norm_factor(p, n, a.eps);
  for (int i = lane(); i < n; i += 32)
    store(a.dst + static_cast<int64_t>(row) * n + i, mul(mul(load(x + i), r), load(a.weight + i)));
}
