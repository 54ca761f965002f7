// Attention of rows that follow each other in one session (prefill): partial results. SPEC.md section 8.
//
// A block is one tile, one split and one key-value head: at most 64 queries, which are the tile's rows times its heads, and 128
// positions. Keys and values come through shared memory 8 elements, or 8 positions, at a time. Each of the 128 threads keeps 8
// queries by 8 positions of the scores in registers, and then 8 queries by 8 (or 4) elements of the values: two matrix products
// in which every sum is one thread's, in order. The grid is (slots, kvHeads, tiles). DIM is as in attend.cuh.
#pragma once
#include "attention.cuh"

constexpr int QUERIES = 64;  // of a tile; attention.go has the same number

// What a block knows of itself.
struct TilePlace {
  Row first, last;  // rows of the tile
  int row, rows, heads;  // of the tile
  int head;  // first query head
  int split, low, high;  // the split, and what of it any of the tile's rows sees
};

// A query is a row of the tile and a head: row * heads + head.
// The exp of scores is kept as (SPLIT, QUERIES); queries of odd positions are exchanged 16 by 16, so that two threads that
// read the same query at neighbouring positions meet different banks.
DEVICE int score_place(int query, int position) { return position * QUERIES + (query ^ (position & 1) << 4); }

// The queries of a thread, m = 0..7.
DEVICE int query_of(int query_group, int m) { return query_group * 4 + m % 4 + m / 4 * (QUERIES / 2); }

// Eight numbers of a row of 2 n: 4 from 4 g on and 4 from n + 4 g on.
DEVICE void read_pair(const float* row, int n, int g, float (&x)[8]) {
  read_shared<4>(row + 4 * g, x);
  read_shared<4>(row + n + 4 * g, x + 4);
}

// The tile's queries times the keys of the split, 8 elements at a time: e = scores.
template <int DIM> DEVICE void tile_scores(const AttentionArgs& a, const TilePlace& tile, const char* keys, float* e, float* staged_k, float* staged_q) {
  const int dim = DIM ? DIM : a.dim, chunks = (a.dim + 7) / 8, t = threadIdx.x;
  const int query_group = warp() / 2 * 4 + lane() % 4, position_group = warp() % 2 * 8 + lane() / 4;
  const bool seen = t >= tile.low && t < tile.high;
  const int row = t / 2 / tile.heads, head = tile.head + t / 2 % tile.heads, half = t % 2 * 4;
  const float* q = a.q + (static_cast<int64_t>(tile.row + row) * a.heads + head) * dim + half;

  uint4 next_k;
  float next_q[4];
  auto fetch = [&](int c) {
    next_k = seen ? load_nc(reinterpret_cast<const uint4*>(keys) + c * SPLIT + t) : uint4{};
    if (DIM != 0 && row < tile.rows) {
      float4 v = load(reinterpret_cast<const float4*>(q + c * 8));
      next_q[0] = v.x, next_q[1] = v.y, next_q[2] = v.z, next_q[3] = v.w;
    } else {
      UNROLL for (int i = 0; i < 4; i++) next_q[i] = row < tile.rows && c * 8 + half + i < dim ? load(q + c * 8 + i) : 0;
    }
  };
  auto put = [&](int c) {
    float x[8];
    unpack(next_k, x);
    float* k = staged_k + c % 2 * (8 * SPLIT) + t;
    UNROLL for (int i = 0; i < 8; i++) k[i * SPLIT] = DIM != 0 || c * 8 + i < dim ? x[i] : 0;
    float* to = staged_q + c % 2 * (8 * QUERIES) + half * QUERIES + t / 2;
    UNROLL for (int i = 0; i < 4; i++) to[i * QUERIES] = mul(next_q[i], a.scale);
  };

  float score[8][8] = {};  // (queries, positions)
  fetch(0);
  put(0);
  sync_block();
  for (int c = 0; c < chunks; c++) {
    if (c + 1 < chunks) fetch(c + 1);
    UNROLL for (int i = 0; i < 8; i++) {
      float x[8], k[8];
      read_pair(staged_q + (c % 2 * 8 + i) * QUERIES, QUERIES / 2, query_group, x);
      read_pair(staged_k + (c % 2 * 8 + i) * SPLIT, SPLIT / 2, position_group, k);
      UNROLL for (int m = 0; m < 8; m++) UNROLL for (int n = 0; n < 8; n++) score[m][n] = fma(x[m], k[n], score[m][n]);
    }
    if (c + 1 < chunks) put(c + 1);
    sync_block();
  }
  UNROLL for (int n = 0; n < 8; n++) {
    const int j = position_group * 4 + n % 4 + n / 4 * (SPLIT / 2);
    UNROLL for (int m = 0; m < 8; m += 4) {
      float4 v{score[m][n], score[m + 1][n], score[m + 2][n], score[m + 3][n]};
      *reinterpret_cast<float4*>(e + score_place(query_of(query_group, m), j)) = v;
    }
  }
  sync_block();
}

// The softmax of a query in place, by two threads of a warp, 16 lanes apart: one has the even positions, one the odd. The tree
// of the 32 partial sums takes even and odd ones together in its last step only.
DEVICE float2 tile_softmax(float* e, int query, int low, int high) {
  const int odd = lane() / 16;
  float m = from_bits(MINUS_INFINITY), sum[16] = {};
  for (int j = odd; j < SPLIT; j += 2) {
    float s = e[score_place(query, j)];
    if (j >= low && j < high && s > m) m = s;
  }
  float other = shuffle_xor(m, 16);
  m = other > m ? other : m;
  for (int from = 0; from < SPLIT; from += 32) {
    UNROLL for (int i = 0; i < 16; i++) {
      const int j = from + 2 * i + odd;
      float* p = e + score_place(query, j);
      float w = exp_canonical(sub(*p, m));
      w = j >= low && j < high ? w : 0;
      *p = w;
      sum[i] = add(sum[i], w);
    }
  }
  UNROLL for (int h = 8; h > 0; h /= 2) UNROLL for (int i = 0; i < h; i++) sum[i] = add(sum[i], sum[i + h]);
  return float2{m, add(sum[0], shuffle_xor(sum[0], 16))};
}

// o = e times the values of the split, in order of positions, BLOCK elements of the head at a time.
template <int DIM> DEVICE void tile_values(const AttentionArgs& a, const TilePlace& tile, const char* values, const float* e, float* staged,
                                           const int* lows, const int* highs, const int64_t* places) {
  constexpr int BLOCK = DIM == 64 ? 64 : 128, WIDTH = BLOCK / 16;  // WIDTH elements of a thread
  constexpr int GROUPS = 128 / BLOCK, POSITIONS = 8 * GROUPS;      // staged at a time
  const int dim = DIM ? DIM : a.dim, t = threadIdx.x;
  const int query_group = warp() / 2 * 4 + lane() % 4, element_group = warp() % 2 * 8 + lane() / 4;
  // What every row sees that sees any of the split.
  const int every_low = tile.last.first - tile.split * SPLIT, every_high = tile.first.position + 1 - tile.split * SPLIT;
  const int begin = tile.low / POSITIONS, end = (tile.high + POSITIONS - 1) / POSITIONS;

  for (int from = 0; from < dim; from += BLOCK) {
    uint4 next;
    auto fetch = [&](int c) {
      const int group = c * GROUPS + t / BLOCK, element = from + t % BLOCK;
      const bool needed = group * 8 < tile.high && group * 8 + 8 > tile.low && element < dim;
      next = needed ? load_nc(reinterpret_cast<const uint4*>(values) + group * dim + element) : uint4{};
    };
    auto put = [&](int c) {
      float x[8];
      unpack(next, x);
      float* to = staged + c % 2 * (POSITIONS * BLOCK) + t / BLOCK * (8 * BLOCK) + t % BLOCK;
      UNROLL for (int i = 0; i < 8; i++) to[i * BLOCK] = x[i];
    };

    float o[8][WIDTH] = {};  // (queries, elements)
    // o[m] = fma(e[m][j], v[j], o[m]) for position p of chunk c; masked: only where the query sees it.
    auto add_position = [&](int c, int p, bool masked) {
      const int j = c * POSITIONS + p;
      float w[8], v[WIDTH];
      read_shared<4>(e + score_place(query_group * 4, j), w);
      read_shared<4>(e + score_place(QUERIES / 2 + query_group * 4, j), w + 4);
      const float* row = staged + (c % 2 * POSITIONS + p) * BLOCK;
      UNROLL for (int n = 0; n < WIDTH; n += 4) read_shared<4>(row + element_group * 4 + n * (BLOCK / 8), v + n);
      UNROLL for (int m = 0; m < 8; m++) {
        if (masked && (j < lows[query_of(query_group, m)] || j >= highs[query_of(query_group, m)])) continue;
        UNROLL for (int n = 0; n < WIDTH; n++) o[m][n] = fma(w[m], v[n], o[m][n]);
      }
    };
    fetch(begin);
    put(begin);
    sync_block();
    for (int c = begin; c < end; c++) {
      if (c + 1 < end) fetch(c + 1);
      const int first = c * POSITIONS;
      if (first >= every_low && first + POSITIONS <= every_high) {
        UNROLL for (int p = 0; p < POSITIONS; p++) add_position(c, p, false);
      } else {
        const int stop = min(POSITIONS, tile.high - first);
        for (int p = max(0, tile.low - first); p < stop; p++) add_position(c, p, true);
      }
      if (c + 1 < end) put(c + 1);
      sync_block();
    }
    UNROLL for (int m = 0; m < 8; m++) {
      const int query = query_of(query_group, m);
      if (lows[query] >= highs[query]) continue;
      UNROLL for (int n = 0; n < WIDTH; n += 4) {
        const int element = from + element_group * 4 + n * (BLOCK / 8);
        if (element >= dim) continue;
        store(reinterpret_cast<float4*>(a.o + places[query] * a.stride + element), float4{o[m][n], o[m][n + 1], o[m][n + 2], o[m][n + 3]});
      }
    }
  }
}

template <int DIM> DEVICE void attend_tile(const AttentionArgs& a) {
  SHARED(float, e, SPLIT * QUERIES);
  SHARED(float, staged_kv, 2 * 8 * 128);
  SHARED(float, staged_q, 2 * 8 * QUERIES);
  SHARED(int, lows, QUERIES);
  SHARED(int, highs, QUERIES);
  SHARED(int64_t, places, QUERIES);  // of the partial results
  const int dim = DIM ? DIM : a.dim, kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const int4 raw = load(reinterpret_cast<const int4*>(a.tiles + blockIdx.z));
  TilePlace tile;
  tile.row = raw.x, tile.rows = raw.y, tile.head = kv_head * group + raw.z, tile.heads = raw.w;
  tile.first = load_row(a.rows, tile.row);
  tile.last = load_row(a.rows, tile.row + tile.rows - 1);
  tile.split = tile.first.first / SPLIT + blockIdx.x;
  if (tile.split > tile.last.position / SPLIT) return;
  tile.low = max(tile.first.first - tile.split * SPLIT, 0);
  tile.high = min(tile.last.position + 1 - tile.split * SPLIT, SPLIT);

  if (threadIdx.x < QUERIES) {
    const int query = threadIdx.x, in_tile = query / tile.heads;
    int low = 0, high = 0;
    if (in_tile < tile.rows) {
      const Row row = load_row(a.rows, tile.row + in_tile);
      low = max(row.first - tile.split * SPLIT, 0), high = min(row.position + 1 - tile.split * SPLIT, SPLIT);
      places[query] = partial(a, tile.row + in_tile, tile.head + query % tile.heads, tile.split - row.first / SPLIT);
    }
    lows[query] = low, highs[query] = high;
  }
  const char* page = head_of(tile.first.pages, tile.split, a.layer_offset, kv_head, dim);
  tile_scores<DIM>(a, tile, page, e, staged_kv, staged_q);

  const int query = warp() * 16 + lane() % 16;
  const float2 ml = tile_softmax(e, query, lows[query], highs[query]);
  if (lane() < 16 && lows[query] < highs[query]) store(a.ml + places[query], ml);
  sync_block();
  tile_values<DIM>(a, tile, page + key_bytes(dim), e, staged_kv, lows, highs, places);
}
