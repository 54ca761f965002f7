// Rows of a batch, and where keys and values lie. SPEC.md section 8.
#pragma once
#include "device.cuh"

constexpr int SPLIT = 128;  // positions of a page, which is a split

// Row is one row of a batch.
struct Row {
  const uint64_t* pages;  // addresses of the session's pages, by position / SPLIT; null: the row is in no session
  int32_t position;
  int32_t first;  // first position that the row sees
};

DEVICE Row load_row(const Row* rows, int row) {
  uint4 raw = load(reinterpret_cast<const uint4*>(rows + row));
  uint64_t pages = static_cast<uint64_t>(raw.y) << 32 | raw.x;
  return Row{reinterpret_cast<const uint64_t*>(pages), static_cast<int32_t>(raw.z), static_cast<int32_t>(raw.w)};
}

// A page holds SPLIT positions of all layers and key-value heads as f16, (layers, kvHeads, head). A head of D elements is
//
//	keys    (ceil(D / 8), 128 positions, 8 elements)     a warp's lanes are positions: 16 bytes each, side by side
//	values  (128 positions / 8, D, 8 positions)          a warp's lanes are elements: 16 bytes each, side by side
//
// so that neither scores nor values need a sum over lanes, and every load is 16 bytes of a whole line. Elements of keys from D
// on have any content and are never used.
DEVICE int64_t key_bytes(int dim) { return static_cast<int64_t>((dim + 7) / 8) * (SPLIT * 16); }
DEVICE int64_t head_bytes(int dim) { return key_bytes(dim) + static_cast<int64_t>(dim) * (SPLIT * 2); }

// Places within a head's keys, and within its values, in f16.
DEVICE int key_place(int element, int position) { return (element / 8 * SPLIT + position) * 8 + element % 8; }
DEVICE int value_place(int element, int position, int dim) { return (position / 8 * dim + element) * 8 + position % 8; }

// The part of a head in the page that holds a position.
DEVICE const char* head_of(const uint64_t* pages, int split, int64_t layer_offset, int kv_head, int dim) {
  return reinterpret_cast<const char*>(load(pages + split)) + layer_offset + kv_head * head_bytes(dim);
}

// The two f16 of a word.
DEVICE float low_half(uint32_t w) { return half_to_float(static_cast<uint16_t>(w)); }
DEVICE float high_half(uint32_t w) { return half_to_float(static_cast<uint16_t>(w >> 16)); }

// The eight f16 of 16 bytes.
DEVICE void unpack(const uint4& w, float (&x)[8]) {
  x[0] = low_half(w.x), x[1] = high_half(w.x);
  x[2] = low_half(w.y), x[3] = high_half(w.y);
  x[4] = low_half(w.z), x[5] = high_half(w.z);
  x[6] = low_half(w.w), x[7] = high_half(w.w);
}
