// Runs kernels of ../src on a CPU, for tests on machines without a card. The same source is compiled by a host compiler with
// EMULATED defined; a thread of a block is a fibre, blocks are spread over the processor's cores.
//
// Found out: accesses outside of live allocations or misaligned, barriers and shuffles that not all threads reach, writes
// behind a shared array, two blocks that touch what one of them writes. Shared and fresh device memory is filled with
// garbage; threads and blocks run in an order drawn from the seed, cp.async copies as late as it may. Counted: launches,
// bytes, sectors. Not shown: anything about time.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

namespace emulator {

struct Kernel {
  std::string name;
  size_t argumentBytes;
  void (*body)(const void* arguments);
  int threadsMax;
};

// The kernel of this name, or nullptr.
const Kernel* find(const char* name);

// Device memory: at multiples of 256 bytes, with a gap behind each allocation, filled with garbage. nullptr: none left.
void* allocate(size_t bytes);
// The bytes of the allocation that begins at address; 0: there is none.
size_t allocated(const void* address);
// Whether address was the beginning of an allocation. It is not given out again soon.
bool release(void* address);
// Whether all bytes lie in live allocations.
bool contains(const void* address, size_t bytes);

struct Launch {
  const Kernel* kernel;
  unsigned grid[3];
  unsigned threads;
  size_t sharedBytes;      // dynamic
  const void* arguments;   // kernel->argumentBytes
};

// What kernels of a name did so far. Sectors (32 bytes) are those that each access of a warp touches, and the least that
// its bytes would fill; they and the footprints are counted only with traffic switched on.
struct Counts {
  uint64_t launches = 0, blocks = 0, threads = 0;
  uint64_t loads = 0, stores = 0, bytesRead = 0, bytesWritten = 0;
  uint64_t sectors = 0, sectorsIdeal = 0;
  uint64_t footprintRead = 0, footprintWritten = 0;  // bytes of distinct sectors, launch by launch
  uint64_t dp4a = 0, mma = 0, barriers = 0, shuffles = 0;
  uint64_t sharedBytes = 0;  // the most of a block, static and dynamic
  uint64_t blocksLast = 0, threadsLast = 0;  // of the last launch
};

// Runs to the end. An empty string, or what went wrong: kernel, block, thread, line, address.
std::string launch(const Launch& launch);

Counts counts(const char* kernel);
// All kernels' counts as a JSON array, in the order of their first launches.
std::string describe_counts();
void reset_counts();
void count_traffic(bool on);
// The order of threads and blocks, and the garbage, of the launches to come.
void seed(uint64_t seed);

}  // namespace emulator
