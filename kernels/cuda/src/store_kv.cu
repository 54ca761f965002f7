// StoreKV: k, v (rows, kvHeads, headDim) -> f16 in the pages of the rows' sessions. SPEC.md section 8.
#include "kv.cuh"

struct StoreKVArgs {
  const Row* rows;
  const float* k;
  const float* v;
  int64_t layer_offset;  // bytes from the start of a page
  int32_t kv_heads, dim;
};

// grid (ceil(kvHeads * headDim / 256), rows). A thread is one element: reads lie side by side; writes are 2 bytes each, in
// pieces of 16 for keys and alone for values, which the L2 cache gathers (positions that follow fill the line).
KERNEL_BOUNDS(store_kv, StoreKVArgs, 256, 4) {
  int i = blockIdx.x * 256 + threadIdx.x;
  Row row = load_row(a.rows, blockIdx.y);
  if (row.pages == nullptr || i >= a.kv_heads * a.dim) return;
  int element = i % a.dim, position = row.position % SPLIT;
  char* head = const_cast<char*>(head_of(row.pages, row.position / SPLIT, a.layer_offset, i / a.dim, a.dim));
  uint16_t* keys = reinterpret_cast<uint16_t*>(head);
  uint16_t* values = reinterpret_cast<uint16_t*>(head + key_bytes(a.dim));
  int64_t from = static_cast<int64_t>(blockIdx.y) * a.kv_heads * a.dim + i;
  store(keys + key_place(element, position), float_to_half(load(a.k + from)));
  store(values + value_place(element, position, a.dim), float_to_half(load(a.v + from)));
}
