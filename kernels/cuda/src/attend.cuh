// Attention of rows that stand alone (decoding): partial results. SPEC.md section 8.
//
// A block is one row, one split, one key-value head and up to HEADS query heads that share it, so that keys and values are
// read once. Its 128 threads are first the positions of the split (scores), then the lanes of softmax, then the elements of
// the head (values): no chain of operations is ever cut. The grid is (slots, kvHeads * ceil(group / HEADS), rows). DIM is the
// length of a head, 0 for any up to 256.
#pragma once
#include "attention.cuh"

constexpr int DIM_MAX = 256;

// Softmax of a head's scores in place, a warp's work: positions low..high-1 are seen. Gives m and l.
DEVICE float2 softmax(float* scores, int low, int high) {
  float s[4], m = from_bits(MINUS_INFINITY), l = 0;
  UNROLL for (int k = 0; k < 4; k++) {
    int j = lane() + 32 * k;
    s[k] = scores[j];
    if (j >= low && j < high && s[k] > m) m = s[k];
  }
  UNROLL for (int h = 16; h > 0; h /= 2) {
    float other = shuffle_xor(m, h);
    m = other > m ? other : m;
  }
  UNROLL for (int k = 0; k < 4; k++) {
    int j = lane() + 32 * k;
    float e = exp_canonical(sub(s[k], m));
    e = j >= low && j < high ? e : 0;
    scores[j] = e;
    l = add(l, e);
  }
  return float2{m, tree_sum(l)};
}

// o[h] = fma(e[h][j], x[j], o[h]) over the 8 positions from 8 * group on, in order; e is (heads, SPLIT).
template <int heads> DEVICE void add_values(float (&o)[heads], const float* e, const uint4& packed, int group, int low, int high) {
  float x[8];
  unpack(packed, x);
  if (group * 8 >= low && group * 8 + 8 <= high) {
    UNROLL for (int h = 0; h < heads; h++) {
      float w[8];
      read_shared<8>(e + h * SPLIT + group * 8, w);
      UNROLL for (int p = 0; p < 8; p++) o[h] = fma(w[p], x[p], o[h]);
    }
    return;
  }
  UNROLL for (int p = 0; p < 8; p++) {
    int j = group * 8 + p;
    if (j < low || j >= high) continue;
    UNROLL for (int h = 0; h < heads; h++) o[h] = fma(e[h * SPLIT + j], x[p], o[h]);
  }
}

// A query is kept as (dim / 4, heads, 4).
template <int heads> DEVICE int query_place(int head, int element) { return (element / 4 * heads + head) * 4 + element % 4; }

template <int HEADS, int DIM> DEVICE void attend(const AttentionArgs& a) {
  constexpr int BATCH = DIM ? 8 : 4;  // chunks of 8 elements that are under way at once
  constexpr int LANES = DIM == 64 ? 64 : 128;  // threads that are elements; the others take other heads
  constexpr int SHARE = HEADS * LANES / 128 ? HEADS * LANES / 128 : 1;  // heads of a thread
  SHARED(float, query, HEADS * (DIM ? DIM : DIM_MAX));  // (dim / 4, HEADS, 4)
  SHARED(float, e, HEADS * SPLIT);                      // (HEADS, SPLIT)
  SHARED(uint4, staged, DIM ? SPLIT / 8 * DIM : 1);     // values as in the page

  const int dim = DIM ? DIM : a.dim, t = threadIdx.x;
  const int chunks = (a.dim + 7) / 8;  // not a constant: the loop over them shall stay one
  const Row row = load_row(a.rows, blockIdx.z);
  const int slot = blockIdx.x, split = row.first / SPLIT + slot;
  if (row.pages == nullptr || split > row.position / SPLIT) return;
  const int low = max(row.first - split * SPLIT, 0), high = min(row.position + 1 - split * SPLIT, SPLIT);

  const int group = a.heads / a.kv_heads, parts = (group + HEADS - 1) / HEADS;
  const int kv_head = blockIdx.y / parts, part = blockIdx.y % parts;
  const int head = kv_head * group + part * HEADS, heads = min(group - part * HEADS, HEADS);
  const char* page = head_of(row.pages, split, a.layer_offset, kv_head, dim);
  const uint4* keys = reinterpret_cast<const uint4*>(page);
  const uint4* values = reinterpret_cast<const uint4*>(page + key_bytes(dim));

  // Everything is asked for before anything is used.
  const bool seen = t >= low && t < high;
  uint4 key[BATCH] = {};
  UNROLL for (int c = 0; c < BATCH; c++)
    if (seen && c < chunks) key[c] = load_nc(keys + c * SPLIT + t);
  if constexpr (DIM != 0) {
    for (int i = low / 8 * DIM + t; i < (high + 7) / 8 * DIM; i += 128) cp_async16(staged + i, values + i);
    cp_async_commit();
  }
  for (int i = t; i < HEADS * dim; i += 128) {
    int h = i / dim, element = i % dim;
    float x = h < heads ? load(a.q + (static_cast<int64_t>(blockIdx.z) * a.heads + head + h) * dim + element) : 0;
    query[query_place<HEADS>(h, element)] = mul(x, a.scale);
  }
  sync_block();

  float score[HEADS] = {};
  for (int from = 0; from < chunks; from += BATCH) {
    UNROLL for (int c = 0; c < BATCH; c++) {
      float x[8];
      unpack(key[c], x);
      UNROLL for (int i = 0; i < 8; i += 4) {
        const int element = (from + c) * 8 + i;
        UNROLL for (int h = 0; h < HEADS; h++) {
          float w[4];
          read_shared<4>(query + query_place<HEADS>(h, element), w);
          UNROLL for (int n = 0; n < 4; n++)
            if (DIM != 0 || element + n < dim) score[h] = fma(w[n], x[i + n], score[h]);
        }
      }
      if (seen && from + BATCH + c < chunks) key[c] = load_nc(keys + (from + BATCH + c) * SPLIT + t);
    }
  }
  UNROLL for (int h = 0; h < HEADS; h++) e[h * SPLIT + t] = score[h];
  sync_block();

  for (int h = warp(); h < heads; h += 4) {
    float2 ml = softmax(e + h * SPLIT, low, high);
    if (lane() == 0) store(a.ml + partial(a, blockIdx.z, head + h, slot), ml);
  }
  if constexpr (DIM != 0) cp_async_wait<0>();
  sync_block();

  const int first = t / LANES * SHARE;  // of this thread's heads
  if (first >= heads) return;
  for (int element = t % LANES; element < dim; element += LANES) {
    float o[SHARE] = {};
    if constexpr (DIM != 0) {
      for (int g = low / 8; g * 8 < high; g++) add_values(o, e + first * SPLIT, staged[g * DIM + element], g, low, high);
    } else {
      for (int from = low / 8; from * 8 < high; from += 4) {
        uint4 packed[4] = {};
        UNROLL for (int g = 0; g < 4; g++)
          if ((from + g) * 8 < high) packed[g] = load_nc(values + (from + g) * dim + element);
        UNROLL for (int g = 0; g < 4; g++)
          if ((from + g) * 8 < high) add_values(o, e + first * SPLIT, packed[g], from + g, low, high);
      }
    }
    UNROLL for (int h = 0; h < SHARE; h++)
      if (first + h < heads) store(a.o + partial(a, blockIdx.z, head + first + h, slot) * a.stride + element, o[h]);
  }
}
