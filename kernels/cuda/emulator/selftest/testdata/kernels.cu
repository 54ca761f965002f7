// Kernels with one mistake each, and a few without.
#include "device.cuh"

struct Args {
  int* out;
  const int* in;
  int64_t n;
};

KERNEL(copy, Args) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < a.n) store(a.out + i, load(a.in + i));
}
KERNEL(copy_strided, Args) {
  int i = threadIdx.x;
  store(a.out + i, load(a.in + 32 * i));
}
KERNEL(misaligned, Args) {
  auto p = reinterpret_cast<const int2*>(a.in + threadIdx.x);
  store(a.out + threadIdx.x, load(p).x);
}
KERNEL(barrier_in_branch, Args) {
  if (threadIdx.x < 40) sync_block();
  store(a.out + threadIdx.x, 1);
}
KERNEL(barrier_after_return, Args) {
  if (threadIdx.x >= a.n) return;
  sync_block();
  store(a.out + threadIdx.x, 1);
}
KERNEL(two_barriers, Args) {
  if (threadIdx.x < 32)
    sync_block();
  else
    sync_block();
  store(a.out + threadIdx.x, 1);
}
KERNEL(shuffle_without_some, Args) {
  if (lane() < a.n) store(a.out + threadIdx.x, shuffle_xor(lane(), 1));
}
KERNEL(shuffle_in_branches, Args) {
  int v;
  if (lane() < 16)
    v = shuffle_xor(lane(), 1);
  else
    v = shuffle_xor(lane(), 2);
  store(a.out + threadIdx.x, v);
}
KERNEL(shuffle_beside_barrier, Args) {
  if (lane() == 0)
    sync_block();
  else
    sync_warp();
  store(a.out + threadIdx.x, 1);
}
KERNEL(reads_neighbour_block, Args) {
  store(a.out + blockIdx.x * blockDim.x + threadIdx.x, 1);
  store(a.out + a.n + blockIdx.x * blockDim.x + threadIdx.x, load(a.out + (blockIdx.x ^ 1) * blockDim.x + threadIdx.x));
}
KERNEL(writes_one_place, Args) { store(a.out, static_cast<int>(a.n == 0 ? 7 : blockIdx.x)); }

// Each thread keeps a number in shared memory and reads its neighbour's: without a barrier, and with one.
KERNEL(race, Args) {
  SHARED(int, s, 64);
  s[threadIdx.x] = threadIdx.x;
  store(a.out + threadIdx.x, s[(threadIdx.x + 33) % 64]);
}
KERNEL(no_race, Args) {
  SHARED(int, s, 64);
  s[threadIdx.x] = threadIdx.x;
  sync_block();
  store(a.out + threadIdx.x, s[(threadIdx.x + 33) % 64]);
}
// Whoever writes last wins.
KERNEL(order, Args) {
  SHARED(int, s, 1);
  s[0] = threadIdx.x;
  sync_block();
  store(a.out + threadIdx.x, s[0]);
}
KERNEL(uninitialised, Args) {
  SHARED(int, s, 64);
  store(a.out + threadIdx.x, s[threadIdx.x]);
}
KERNEL(behind_shared, Args) {
  SHARED(int, s, 32);
  SHARED(int, other, 32);
  s[threadIdx.x] = other[threadIdx.x] = 1;
  if (threadIdx.x == 0) s[a.n] = 2;
  sync_block();
  store(a.out + threadIdx.x, s[threadIdx.x] + other[threadIdx.x]);
}
KERNEL(behind_dynamic, Args) {
  DYNAMIC_SHARED(int, s);
  s[threadIdx.x] = 1;
  store(a.out + threadIdx.x, s[threadIdx.x]);
}
KERNEL(much_shared, Args) {
  SHARED(int, s, 50000);
  store(a.out + threadIdx.x, s[threadIdx.x]);
}

// Copies of which the program does not wait for the last, or for all.
KERNEL(async_no_wait, Args) {
  SHARED(int4, s, 32);
  cp_async16(s + lane(), reinterpret_cast<const int4*>(a.in) + lane());
  cp_async_commit();
  cp_async_wait<1>();
  store(a.out + lane(), s[lane()].x);
}
KERNEL(async_wait, Args) {
  SHARED(int4, s, 32);
  cp_async16(s + lane(), reinterpret_cast<const int4*>(a.in) + lane());
  cp_async_commit();
  cp_async_wait<0>();
  sync_warp();
  store(a.out + lane(), s[(lane() + 1) % 32].x);
}
KERNEL(async_reuse, Args) {
  SHARED(int4, s, 32);
  s[lane()] = int4{5, 5, 5, 5};
  sync_warp();
  cp_async16(s + lane(), reinterpret_cast<const int4*>(a.in) + lane());
  cp_async_commit();
  int early = s[lane()].x;
  cp_async_wait<0>();
  store(a.out + lane(), early);
}

KERNEL(async_outside, Args) {
  SHARED(int4, s, 31);
  cp_async16(s + lane(), reinterpret_cast<const int4*>(a.in) + lane());
  cp_async_commit();
  cp_async_wait<0>();
  store(a.out + lane(), s[0].x);
}

KERNEL(device_functions, Args) {
  int l = lane();
  int64_t at = 0;
  auto put = [&](int v) { store(a.out + 32 * at++ + l, v); };
  put(shuffle(100 + l, l * 7));
  put(shuffle_down(100 + l, 5));
  put(shuffle_xor(100 + l, 9));
  put(static_cast<int>(max_warp(static_cast<uint32_t>((l * 37) % 32 + (l == 3 ? 0x80000000u : 0)))));
  put(static_cast<int>(bits(tree_sum(static_cast<float>(l)))));
  put(dp4a(0x7F80FF01, 0x02FF8003, l));
  put(static_cast<int>(byte_permute(0x33221100, 0x77665544, 0x7250 + l % 4)));
  put(rne_to_int(from_bits(0x3F000000) * 1.0f + to_float(l)));
}

// out (16, 8) += in: a (16, 32), then b (32, 8), bytes row by row.
#if ARCH >= 80
KERNEL(product, Args) {
  auto bytes = reinterpret_cast<const int8_t*>(a.in);
  int g = lane() / 4, t = lane() % 4, c[4];
  uint32_t x[4], y[2];
  for (int i = 0; i < 4; i++) x[i] = load(reinterpret_cast<const uint32_t*>(bytes + 32 * (g + 8 * (i % 2)) + 16 * (i / 2) + 4 * t));
  for (int i = 0; i < 2; i++) {
    y[i] = 0;
    for (int k = 0; k < 4; k++) y[i] |= static_cast<uint32_t>(static_cast<uint8_t>(load(bytes + 512 + 8 * (16 * i + 4 * t + k) + g))) << 8 * k;
  }
  for (int i = 0; i < 4; i++) c[i] = load(a.out + 8 * (g + 8 * (i / 2)) + 2 * t + i % 2);
  mma_s8(c, x, y);
  for (int i = 0; i < 4; i++) store(a.out + 8 * (g + 8 * (i / 2)) + 2 * t + i % 2, c[i]);
}
#endif

KERNEL(halves, Args) {
  int h = blockIdx.x * blockDim.x + threadIdx.x;
  store(a.out + h, static_cast<int>(bits(half_to_float(static_cast<uint16_t>(h)))));
  store(a.out + a.n + h, static_cast<int>(float_to_half(half_to_float(static_cast<uint16_t>(h)))));
}
