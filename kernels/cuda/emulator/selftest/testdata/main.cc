// Runs the kernels of kernels.cu and prints one line a check: "ok NAME", or what is wrong.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <functional>
#include <string>
#include <vector>

#include "emulator.h"

#ifndef ARCH
#define ARCH 80
#endif

namespace {

struct Args {
  int* out;
  const int* in;
  int64_t n;
};

constexpr int inBytes = 32 * 32 * 4, outBytes = 4096;
int *in, *out;

void report(const std::string& name, bool good, const std::string& got) {
  if (good)
    printf("ok %s\n", name.c_str());
  else
    printf("%s: %s\n", name.c_str(), got.c_str());
}

std::string run(const char* kernel, unsigned blocks, unsigned threads, int64_t n = 0, size_t sharedBytes = 0, int* to = out, const int* from = in) {
  Args a{to, from, n};
  emulator::Launch l{emulator::find(kernel), {blocks, 1, 1}, threads, sharedBytes, &a};
  if (l.kernel == nullptr) return "no such kernel";
  return emulator::launch(l);
}

// The launch fails, and its message has the words.
void fails(const char* kernel, unsigned blocks, unsigned threads, int64_t n, std::vector<const char*> words, size_t sharedBytes = 0) {
  std::string got = run(kernel, blocks, threads, n, sharedBytes);
  bool good = !got.empty() && got.rfind(std::string(kernel) + ":", 0) == 0;
  for (const char* w : words) good = good && got.find(w) != std::string::npos;
  report(kernel, good, "a failure was not found or not named: \"" + got + "\"");
}

void works(const char* kernel, unsigned blocks, unsigned threads, int64_t n = 0, size_t sharedBytes = 0) {
  std::string got = run(kernel, blocks, threads, n, sharedBytes);
  report(std::string(kernel) + " works", got.empty(), got);
}

// Whether the result of threads numbers is the same whatever the seed.
bool steady(const char* kernel, int threads) {
  std::vector<int> first;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    emulator::seed(seed);
    memset(out, 0, outBytes);
    if (!run(kernel, 1, threads).empty()) return false;
    std::vector<int> now(out, out + threads);
    if (first.empty()) first = now;
    if (now != first) return false;
  }
  return true;
}

void mistakes() {
  fails("copy", 5, 256, outBytes / 4 + 1, {"illegal address", "4 bytes", "kernels.cu:12", "block (", "thread "});
  fails("misaligned", 1, 32, 0, {"misaligned address", "8 bytes"});
  fails("barrier_in_branch", 1, 64, 0, {"not all threads reach", "has returned", "sync_block kernels.cu"});
  fails("barrier_after_return", 1, 64, 50, {"not all threads reach", "has returned"});
  works("barrier_after_return", 1, 64, 64);
  fails("two_barriers", 1, 64, 0, {"different barriers"});
  fails("shuffle_without_some", 1, 32, 31, {"not all threads reach", "shuffle_xor"});
  works("shuffle_without_some", 1, 32, 32);
  fails("shuffle_without_some", 1, 40, 32, {"warp of 8 threads"});
  fails("shuffle_in_branches", 1, 32, 0, {"part ways", "shuffle_xor"});
  fails("shuffle_beside_barrier", 1, 32, 0, {"not all threads reach", "sync_block", "sync_warp"});
  fails("behind_shared", 1, 32, 32, {"behind the end of shared array s"});
  works("behind_shared", 1, 32, 31);
  fails("behind_dynamic", 1, 32, 0, {"behind the end of shared array dynamic"}, 31 * 4);
  works("behind_dynamic", 1, 32, 0, 32 * 4);
  fails("async_outside", 1, 32, 0, {"no shared array"});
  fails("much_shared", 1, 32, 0, {"bytes of shared memory"});
  fails("copy", 1, 1025, 0, {"threads in a block"});
  fails("copy", 0, 32, 0, {"grid"});
  fails("copy", 1, 32, 0, {"bytes of shared memory"}, 1 << 20);
}

void conflicts() {
  // Which of two blocks comes first is drawn; over twenty launches both are.
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    emulator::seed(seed);
    found += run("reads_neighbour_block", 2, 256, 512).find("which block number") != std::string::npos;
  }
  report("reads_neighbour_block", found == 20, "found " + std::to_string(found) + " times of 20");
  fails("writes_one_place", 2, 32, 1, {"writes", "which block number"});
  works("writes_one_place", 2, 32, 0);
  report("race", !steady("race", 64), "20 seeds gave one result");
  report("order", !steady("order", 64), "20 seeds gave one result");
  report("no_race", steady("no_race", 64), "the result depends on the seed");
  report("uninitialised", !steady("uninitialised", 64), "20 seeds gave one result");
  if (ARCH >= 80) {
    report("async_no_wait", !steady("async_no_wait", 32), "20 seeds gave one result");
    report("async_reuse", !steady("async_reuse", 32), "20 seeds gave one result");
  }
  report("async_wait", steady("async_wait", 32), "the result depends on the seed");
}

void memory() {
  void* p = emulator::allocate(1000);
  bool garbage = false;
  for (int i = 0; i < 250; i++) garbage = garbage || static_cast<int*>(p)[i] != 0;
  report("fresh memory is garbage", garbage, "it is zero");
  report("allocated", emulator::allocated(p) == 1000 && emulator::contains(p, 1000) && !emulator::contains(p, 1001), "wrong bounds");
  report("release", emulator::release(p) && !emulator::release(p) && !emulator::contains(p, 1), "it is still there");
  std::string got = run("copy", 1, 32, 32, 0, out, static_cast<int*>(p));
  report("use after release", got.find("illegal address") != std::string::npos, got);
  int host[32];
  got = run("copy", 1, 32, 32, 0, out, host);
  report("host memory", got.find("illegal address") != std::string::npos, got);
  report("too much", emulator::allocate(size_t{1} << 40) == nullptr, "an address");
}

void counting() {
  emulator::reset_counts();
  emulator::count_traffic(true);
  run("copy", 2, 128, 256);
  run("copy_strided", 1, 32);
  emulator::count_traffic(false);
  auto c = emulator::counts("copy");
  report("counts of copy", c.launches == 1 && c.blocks == 2 && c.bytesRead == 1024 && c.bytesWritten == 1024 && c.sectors == 64 && c.sectorsIdeal == 64 &&
         c.footprintRead == 1024 && c.footprintWritten == 1024, std::to_string(c.sectors) + " sectors, " + std::to_string(c.sectorsIdeal) + " ideal");
  c = emulator::counts("copy_strided");
  report("counts of copy_strided", c.sectors == 36 && c.sectorsIdeal == 8 && c.footprintRead == 1024,
         std::to_string(c.sectors) + " sectors, " + std::to_string(c.sectorsIdeal) + " ideal");
}

void functions() {
  run("device_functions", 1, 32);
  std::vector<int> want(8 * 32);
  for (int l = 0; l < 32; l++) {
    int column[8] = {100 + l * 7 % 32, 100 + (l + 5 > 31 ? l : l + 5), 100 + (l ^ 9), static_cast<int>(0x80000000u + 3 * 37 % 32), 0x43F80000,
                     127 * 2 + -128 * -1 + -1 * -128 + 1 * 3 + l, 0, l + l % 2};
    const uint32_t permuted[4] = {0x77225500, 0x77225511, 0x77225522, 0x77225533};
    column[6] = static_cast<int>(permuted[l % 4]);
    for (int i = 0; i < 8; i++) want[32 * i + l] = column[i];
  }
  for (int i = 0; i < 8 * 32; i++)
    if (out[i] != want[i]) {
      report("device_functions", false, "number " + std::to_string(i) + ": got " + std::to_string(out[i]) + ", want " + std::to_string(want[i]));
      return;
    }
  report("device_functions", true, "");
}

void products() {
#if ARCH >= 80
  auto a = reinterpret_cast<int8_t*>(in), b = a + 512;
  for (int i = 0; i < 768; i++) a[i] = static_cast<int8_t>(i * i * 7 + i / 3);
  a[5] = b[40] = -128;
  int want[128], wrong = 0;
  for (int i = 0; i < 128; i++) {
    out[i] = want[i] = i - 60;
    for (int k = 0; k < 32; k++) want[i] += a[32 * (i / 8) + k] * b[8 * k + i % 8];
  }
  std::string got = run("product", 1, 32);
  for (int i = 0; i < 128; i++) wrong += out[i] != want[i];
  report("product", got.empty() && wrong == 0, got + " " + std::to_string(wrong) + " of 128 numbers differ");
#endif
}

// All f16 against their definition, and back.
void halves() {
  int n = 65536, wrong = 0;
  int* big = static_cast<int*>(emulator::allocate(8 * n));
  std::string got = run("halves", 256, 256, n, 0, big);
  for (int h = 0; h < n; h++) {
    int e = h >> 10 & 31, m = h & 1023;
    float want = e == 0 ? m * 0x1p-24f : e == 31 ? (m ? __builtin_nanf("") : __builtin_inff()) : __builtin_ldexpf(1024 + m, e - 25);
    if (h >> 15) want = -want;
    float is;
    memcpy(&is, big + h, 4);
    bool nan = want != want;
    wrong += nan ? is == is : memcmp(&is, &want, 4) != 0 || big[n + h] != h;
  }
  report("halves", got.empty() && wrong == 0, got + " " + std::to_string(wrong) + " of 65536 differ");
}

}  // namespace

int main() {
  in = static_cast<int*>(emulator::allocate(inBytes));
  out = static_cast<int*>(emulator::allocate(outBytes));
  for (int i = 0; i < inBytes / 4; i++) in[i] = i + 1;
  memory();
  mistakes();
  conflicts();
  counting();
  functions();
  products();
  halves();
}
