// Rotary positions, SPEC.md section 7, in place: pair i of each head turns by the cosine and sine of its row.
#include "device.cuh"

// x (rows, heads, headDim) of queries and, if there are two, of keys; cosSin (rows, rotated / 2, 2). A thread a pair; the grid
// is (rows, ceil(pairs of the larger x / 256), 1 or 2).
struct RopeArgs {
  float* x[2];
  const float2* cosSin;
  int heads[2];
  int headDim, rotated;
};

KERNEL_BOUNDS(rope, RopeArgs, 256, 1) {
  bool keys = blockIdx.z != 0;
  int heads = keys ? a.heads[1] : a.heads[0], half = a.rotated / 2;
  int pair = blockIdx.y * blockDim.x + threadIdx.x;
  if (pair >= heads * half) return;
  int head = pair / half, i = pair % half;
  float* p = (keys ? a.x[1] : a.x[0]) + (static_cast<int64_t>(blockIdx.x) * heads + head) * a.headDim + 2 * i;
  float2 cs = load(a.cosSin + static_cast<int64_t>(blockIdx.x) * half + i);
  bool even = a.headDim % 2 == 0;
  float2 v = even ? load(reinterpret_cast<float2*>(p)) : float2{load(p), load(p + 1)};
  float2 w = {sub(mul(v.x, cs.x), mul(v.y, cs.y)), add(mul(v.x, cs.y), mul(v.y, cs.x))};
  if (even) {
    store(reinterpret_cast<float2*>(p), w);
  } else {
    store(p, w.x);
    store(p + 1, w.y);
  }
}
