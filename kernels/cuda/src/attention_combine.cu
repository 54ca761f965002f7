// Attention: the partial results of each row and head, in order of splits -> (rows, heads, dim). SPEC.md section 8.
#include "attention.cuh"

constexpr int CHUNK = 64;   // splits whose weights are in shared memory at a time
constexpr int AHEAD = 8;    // splits whose values are loaded at once

// grid (heads, rows), a thread an element: dim rounded up to 32, at most 256.
KERNEL_BOUNDS(combine_attention, AttentionArgs, 256, 4) {
  SHARED(float, largest, 8);
  SHARED(float, weight, CHUNK);
  SHARED(float, sum, CHUNK);
  const Row row = load_row(a.rows, blockIdx.y);
  if (row.pages == nullptr) return;
  const int t = threadIdx.x, splits = row.position / SPLIT - row.first / SPLIT + 1;
  const int64_t base = partial(a, blockIdx.y, blockIdx.x, 0);

  float m = from_bits(MINUS_INFINITY);
  for (int k = t; k < splits; k += blockDim.x) {
    float v = load(a.ml + base + k).x;
    m = v > m ? v : m;
  }
  UNROLL for (int h = 16; h > 0; h /= 2) {
    float other = shuffle_xor(m, h);
    m = other > m ? other : m;
  }
  if (lane() == 0) largest[warp()] = m;
  sync_block();
  for (int w = 0; w * 32 < blockDim.x; w++) m = largest[w] > m ? largest[w] : m;

  float l = 0, o = 0;
  for (int from = 0; from < splits; from += CHUNK) {
    const int n = min(splits - from, CHUNK);
    sync_block();
    for (int k = t; k < n; k += blockDim.x) {
      float2 ml = load(a.ml + base + from + k);
      weight[k] = exp_canonical(sub(ml.x, m));
      sum[k] = ml.y;
    }
    sync_block();
    for (int k = 0; k < n; k += AHEAD) {
      float x[AHEAD] = {};
      UNROLL for (int i = 0; i < AHEAD; i++)
        if (k + i < n && t < a.dim) x[i] = load(a.o + (base + from + k + i) * a.stride + t);
      UNROLL for (int i = 0; i < AHEAD; i++) {
        if (k + i >= n) break;
        l = fma(sum[k + i], weight[k + i], l);
        o = fma(x[i], weight[k + i], o);
      }
    }
  }
  if (t < a.dim) store(a.out + (static_cast<int64_t>(blockIdx.y) * a.heads + blockIdx.x) * a.dim + t, mul(o, div(1.0f, l)));
}
