// StoreKV: k, v (rows, kvHeads, headDim) -> f16 in the pages of the rows' sessions, SPEC.md section 8; and the same together
// with the rotation of queries and keys that goes before it, section 7.
#include "kv.cuh"

struct StoreKVArgs {
  const Row* rows;
  const float* k;
  const float* v;
  int64_t layer_offset;  // bytes from the start of a page
  int32_t kv_heads, dim;
};

// The keys and values of a head in the page of a row.
DEVICE uint16_t* keys_of(const Row& row, int64_t layer_offset, int head, int dim) {
  return reinterpret_cast<uint16_t*>(const_cast<char*>(head_of(row.pages, row.position / SPLIT, layer_offset, head, dim)));
}
DEVICE uint16_t* values_of(uint16_t* keys, int dim) { return keys + key_bytes(dim) / 2; }

// grid (ceil(kvHeads * headDim / 256), rows). A thread is one element: reads lie side by side; writes are 2 bytes each, in
// pieces of 16 for keys and alone for values, which the L2 cache gathers (positions that follow fill the line).
KERNEL_BOUNDS(store_kv, StoreKVArgs, 256, 4) {
  int i = blockIdx.x * 256 + threadIdx.x;
  Row row = load_row(a.rows, blockIdx.y);
  if (row.pages == nullptr || i >= a.kv_heads * a.dim) return;
  int element = i % a.dim, position = row.position % SPLIT;
  uint16_t* keys = keys_of(row, a.layer_offset, i / a.dim, a.dim);
  int64_t from = static_cast<int64_t>(blockIdx.y) * a.kv_heads * a.dim + i;
  store(keys + key_place(element, position), float_to_half(load(a.k + from)));
  store(values_of(keys, a.dim) + value_place(element, position, a.dim), float_to_half(load(a.v + from)));
}

// x (rows, heads, dim) of queries, keys and values; cos_sin (rows, rotated / 2, 2). dim is even.
struct RopeStoreArgs {
  const Row* rows;
  float* x[3];
  const float2* cos_sin;
  int64_t layer_offset;
  int32_t heads[2];  // of queries, and of keys and values
  int32_t dim, rotated;
};

// grid (rows, ceil(pairs of the largest x / 256), 3): queries turn in place, keys do and are kept, values are kept. A thread is
// a pair of neighbours.
KERNEL_BOUNDS(rope_store_kv, RopeStoreArgs, 256, 4) {
  const int what = blockIdx.z, heads = what == 0 ? a.heads[0] : a.heads[1], pairs = a.dim / 2;
  const int pair = blockIdx.y * 256 + threadIdx.x, head = pair / pairs, i = pair % pairs;
  if (head >= heads) return;
  float* p = (what == 0 ? a.x[0] : what == 1 ? a.x[1] : a.x[2]) + (static_cast<int64_t>(blockIdx.x) * heads + head) * a.dim + 2 * i;
  float2 v = load(reinterpret_cast<float2*>(p));
  if (what < 2 && i < a.rotated / 2) {
    float2 cs = load(a.cos_sin + static_cast<int64_t>(blockIdx.x) * (a.rotated / 2) + i);
    v = float2{sub(mul(v.x, cs.x), mul(v.y, cs.y)), add(mul(v.x, cs.y), mul(v.y, cs.x))};
    store(reinterpret_cast<float2*>(p), v);
  }
  if (what == 0) return;
  const Row row = load_row(a.rows, blockIdx.x);
  if (row.pages == nullptr) return;
  const int position = row.position % SPLIT;
  uint16_t* keys = keys_of(row, a.layer_offset, head, a.dim);
  const ushort2 half{float_to_half(v.x), float_to_half(v.y)};
  if (what == 1) {
    store(reinterpret_cast<ushort2*>(keys + key_place(2 * i, position)), half);
  } else {
    uint16_t* values = values_of(keys, a.dim);
    store(values + value_place(2 * i, position, a.dim), half.x);
    store(values + value_place(2 * i + 1, position, a.dim), half.y);
  }
}
