// Attention: the partial results of each row and head, in order of splits -> (rows, heads, dim), and the activation codes of that
// if a product comes next. SPEC.md sections 8 and 4.
#include "attention.cuh"
#include "encode.cuh"

struct CombineArgs {
  const Row* rows;
  float* out;        // (rows, heads, dim)
  const float* o;    // (rows, heads, slots, stride)
  const float2* ml;  // (rows, heads, slots)
  Codes codes;       // of out; codes.codes null: not wanted
  int32_t heads, dim, stride, slots;
};

constexpr int ELEMENTS = 128;  // of a block: a segment of the codes
constexpr int WEIGHTS = 1024;  // in shared memory at a time, of all heads that the segment has elements of
constexpr int AHEAD = 8;       // splits whose values are loaded at once

// The largest score of a head, a warp's work.
DEVICE float largest_of(const float2* ml, int splits) {
  float m = from_bits(MINUS_INFINITY);
  for (int k = lane(); k < splits; k += 32) {
    float v = load(ml + k).x;
    m = v > m ? v : m;
  }
  UNROLL for (int h = 16; h > 0; h /= 2) {
    float other = shuffle_xor(m, h);
    m = other > m ? other : m;
  }
  return m;
}

// The sum over splits of the block's element first + t, of head: each thread adds its own. All threads take part.
DEVICE float combine(const CombineArgs& a, const Row& row, int first, int count, int head, int element) {
  SHARED(float, largest, ELEMENTS);
  SHARED(float2, weights, WEIGHTS);  // (heads, splits): the weight and l
  const int t = threadIdx.x, splits = row.position / SPLIT - row.first / SPLIT + 1;
  const int head_first = first / a.dim, heads = (first + count - 1) / a.dim - head_first + 1;
  const int64_t base = (static_cast<int64_t>(blockIdx.y) * a.heads + head_first) * a.slots;
  for (int h = warp(); h < heads; h += ELEMENTS / 32) {
    float m = largest_of(a.ml + base + h * a.slots, splits);
    if (lane() == 0) largest[h] = m;
  }
  const int chunk = WEIGHTS / heads;
  const float* values = a.o + (base + (head - head_first) * a.slots) * a.stride + element;
  float l = 0, o = 0;
  for (int from = 0; from < splits; from += chunk) {
    const int n = min(splits - from, chunk);
    sync_block();
    for (int i = t; i < heads * n; i += ELEMENTS) {
      float2 ml = load(a.ml + base + i / n * a.slots + from + i % n);
      weights[i] = float2{exp_canonical(sub(ml.x, largest[i / n])), ml.y};
    }
    sync_block();
    if (t >= count) continue;
    const float2* w = weights + (head - head_first) * n;
    for (int k = 0; k < n; k += AHEAD) {
      float x[AHEAD] = {};
      UNROLL for (int i = 0; i < AHEAD; i++)
        if (k + i < n) x[i] = load(values + static_cast<int64_t>(from + k + i) * a.stride);
      UNROLL for (int i = 0; i < AHEAD; i++) {
        if (k + i >= n) break;
        l = fma(w[k + i].y, w[k + i].x, l);
        o = fma(x[i], w[k + i].x, o);
      }
    }
  }
  return mul(o, div(1.0f, l));
}

// grid (ceil(heads * dim / 128), rows), a thread an element.
KERNEL_BOUNDS(combine_attention, CombineArgs, 128, 8) {
  SHARED(float, segment, ELEMENTS);
  const Row row = load_row(a.rows, blockIdx.y);
  const int t = threadIdx.x, n = a.heads * a.dim, first = blockIdx.x * ELEMENTS, count = min(n - first, ELEMENTS);
  float* out = a.out + static_cast<int64_t>(blockIdx.y) * n + first;
  float v = 0;
  if (row.pages != nullptr) {
    const int index = first + min(t, count - 1);
    v = combine(a, row, first, count, index / a.dim, index % a.dim);
    if (t < count) store(out + t, v);
  } else if (a.codes.codes != nullptr && t < count) {
    v = load(out + t);  // a row of no session stays as it is, and has codes like any other
  }
  if (a.codes.codes == nullptr) return;
  segment[t] = t < count ? v : 0;
  sync_block();
  if (warp() > 0) return;
  float x[4];
  read_shared<4>(segment + 4 * lane(), x);
  encode_segment(a.codes, x, blockIdx.y, blockIdx.x);
}
