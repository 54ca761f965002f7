// What the kernels of attention share. SPEC.md section 8.
//
// A split of a query head is a partial result: m (largest score), l (sum of e) and o (values weighted with e). Each kernel here
// computes whole partial results, and combine_attention adds a head's up in order. So no result depends on the grid.
#pragma once
#include "kv.cuh"

// Tile is consecutive rows of one session, and some heads of each group: at most 64 queries of a key-value head.
struct Tile {
  int32_t row, rows;    // from the launch's first row on
  int32_t head, heads;  // within the group
};

struct AttentionArgs {
  const Row* rows;     // from the launch's first row on, as all that has rows
  const Tile* tiles;   // attend_tile only
  const float* q;      // (rows, heads, dim)
  float* o;            // (rows, heads, slots, stride)
  float2* ml;          // (rows, heads, slots): m, l
  int64_t layer_offset;  // bytes from the start of a page
  int32_t heads, kv_heads, dim;
  int32_t stride;  // dim rounded up to 4
  int32_t slots;   // splits that a row may see; the first one it sees has slot 0
  float scale;     // 1 / sqrt(dim)
};

// The place of a partial result.
DEVICE int64_t partial(const AttentionArgs& a, int row, int head, int slot) {
  return (static_cast<int64_t>(row) * a.heads + head) * a.slots + slot;
}

constexpr uint32_t MINUS_INFINITY = 0xFF800000;

// n numbers of shared memory, which lie at a multiple of 16 bytes if n is a multiple of 4.
template <int n> DEVICE void read_shared(const float* p, float* x) {
  if constexpr (n % 4 == 0) {
    UNROLL for (int i = 0; i < n; i += 4) {
      float4 v = *reinterpret_cast<const float4*>(p + i);
      x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
    }
  } else {
    UNROLL for (int i = 0; i < n; i++) x[i] = p[i];
  }
}
