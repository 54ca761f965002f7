// CopyKV, ReadKV and WriteKV: positions between a session's pages and (layers, 2, positions, kvHeads, headDim) f16, keys
// before values, the order that is the same on every backend.
#include "kv.cuh"

struct MoveKVArgs {
  const uint64_t* pages;
  uint16_t* kept;
  int32_t first, positions;  // in the session; kept has these positions only
  int32_t layers, kv_heads, dim;
  int32_t reserved;
};

// Where element i of kept, of a layer and half, lies in the pages.
DEVICE uint16_t* place_of(const MoveKVArgs& a, int layer, int half, int i) {
  int element = i % a.dim, head = i / a.dim % a.kv_heads;
  int position = a.first + i / (a.dim * a.kv_heads);
  int64_t layer_offset = static_cast<int64_t>(layer) * a.kv_heads * head_bytes(a.dim);
  char* p = const_cast<char*>(head_of(a.pages, position / SPLIT, layer_offset, head, a.dim));
  if (half == 0) return reinterpret_cast<uint16_t*>(p) + key_place(element, position % SPLIT);
  return reinterpret_cast<uint16_t*>(p + key_bytes(a.dim)) + value_place(element, position % SPLIT, a.dim);
}

// grid (ceil(positions * kvHeads * headDim / 256), 2, layers), a thread an element.
KERNEL_BOUNDS(gather_kv, MoveKVArgs, 256, 4) {
  int i = blockIdx.x * 256 + threadIdx.x, n = a.positions * a.kv_heads * a.dim;
  if (i >= n) return;
  int64_t at = (static_cast<int64_t>(blockIdx.z) * 2 + blockIdx.y) * n + i;
  store(a.kept + at, load(place_of(a, blockIdx.z, blockIdx.y, i)));
}

KERNEL_BOUNDS(scatter_kv, MoveKVArgs, 256, 4) {
  int i = blockIdx.x * 256 + threadIdx.x, n = a.positions * a.kv_heads * a.dim;
  if (i >= n) return;
  int64_t at = (static_cast<int64_t>(blockIdx.z) * 2 + blockIdx.y) * n + i;
  store(place_of(a, blockIdx.z, blockIdx.y, i), load(a.kept + at));
}
