// The runtime of the emulator: memory, fibres, barriers, launches. See emulator.h for what it finds out.
#include "emulator.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "device.h"
#include "switch.h"

namespace emulator {

thread_local Thread* current = nullptr;
bool traffic = false;

namespace {

constexpr size_t stackBytes = 64 << 10, sharedAreaBytes = 512 << 10, redzoneBytes = 64;
constexpr uint64_t stackCanary = 0x5AFE57ACC0DE5AFE;
constexpr unsigned threadsMax = 1024;
constexpr size_t fillBytesMax = 64 << 20;  // longer allocations begin as zeros

// The shared memory a block may have on sm_80 and on sm_70.
constexpr size_t sharedBytesMax = ARCH >= 80 ? 163 << 10 : 96 << 10;

[[noreturn]] void die(const char* what) {
  fprintf(stderr, "emulator: %s\n", what);
  abort();
}

void* reserve(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) die("cannot reserve address space");
  return p;
}

// Device memory of a process's first emulator lies where no host pointer ever does, so that messages are easy to read and
// always the same; a second one (of another ARCH) has the next place.
uint64_t reserve_device_memory() {
  for (uint64_t at = 0x500000000000; at < 0x540000000000; at += uint64_t{1} << 40) {
    void* wanted = reinterpret_cast<void*>(at);
    void* p = mmap(wanted, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == wanted) return at;
    if (p != MAP_FAILED) munmap(p, reserved);
  }
  die("cannot reserve address space for device memory");
}

std::string format(const char* text, ...) __attribute__((format(printf, 1, 2)));
std::string format(const char* text, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, text);
  vsnprintf(line, sizeof line, text, arguments);
  va_end(arguments);
  return line;
}

std::string place(Site site) {
  const char* slash = strrchr(site.file, '/');
  return format("%s:%d", slash ? slash + 1 : site.file, site.line);
}

// Deterministic garbage and order (xorshift64*).
struct Random {
  uint64_t state = 1;
  void start(uint64_t seed, uint64_t stream) {
    state = (seed * 0x9E3779B97F4A7C15 ^ (stream + 1) * 0xD1B54A32D192ED03) | 1;
    for (int i = 0; i < 3; i++) next();
  }
  uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1D;
  }
  // Below n, which is less than 2^32.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((next() >> 32) * n >> 32); }
};

void fill_with_garbage(void* at, size_t bytes, uint64_t word) {
  char* p = static_cast<char*>(at);
  for (; bytes >= 8; bytes -= 8, p += 8) memcpy(p, &word, 8);
  memcpy(p, &word, bytes);
}

}  // namespace

uint64_t base = reserve_device_memory();
uint16_t* extents = static_cast<uint16_t*>(reserve(reserved / 256 * sizeof(uint16_t)));
uint32_t* writers = static_cast<uint32_t*>(reserve(reserved));

namespace {

struct Memory {
  std::mutex mutex;
  std::map<uint64_t, size_t> live;  // offset, bytes
  uint64_t cursor = 0;
  char* region = reinterpret_cast<char*>(base);
};
Memory& memory() {
  static Memory m;
  return m;
}

uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// The first gap of the length from the cursor on, or reserved.
uint64_t gap_from(Memory& m, uint64_t from, uint64_t length) {
  auto next = m.live.lower_bound(from);
  if (next != m.live.begin()) {
    auto before = std::prev(next);
    from = std::max(from, round_up(before->first + before->second, 256) + 256);
  }
  for (; next != m.live.end() && from + length > next->first; ++next) from = round_up(next->first + next->second, 256) + 256;
  return from + length <= reserved ? from : reserved;
}

std::map<std::string, Kernel>& registry() {
  static std::map<std::string, Kernel> r;
  return r;
}

struct Access {
  Site site;
  uint64_t address;
  uint32_t bytes;
  bool stored;
};

struct Copy {
  void* shared;
  const void* global;
};

enum class State { ready, inWarp, inBlock, done };

struct Fibre {
  Thread thread;
  void* stack = nullptr;
  State state = State::ready;
  const char* what = nullptr;
  Site site{};
  std::vector<std::vector<Copy>> groups;  // of cp.async that are committed and under way
  std::vector<Copy> open;
  std::vector<Access> accesses;
};

struct Warp {
  int threads = 0, arrived = 0, phase = 0;
  const char* what = nullptr;
  Site site{};
  uint32_t slots[2][32][6];
};

struct Array {
  const void* declaration;
  const char* name;
  size_t offset, bytes;
};

struct Job {
  const Launch* launch = nullptr;
  uint64_t blocks = 0, stride = 1, offset = 0, seed = 0;
  uint32_t tagFirst = 0;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
};

// One host thread and the block that it runs.
class Worker {
 public:
  void run(Job& job);
  void merge(Counts& counts);

  [[noreturn]] void fail(const std::string& text);
  void meet_warp(const char* what, Site site);
  void meet_block(Site site);
  void finish();
  void* shared_array(const void* declaration, size_t bytes, const char* name);

  Fibre& self() { return fibres_[current->index]; }
  Warp& warp() { return warps_[current->index / 32]; }
  void* dynamic() { return shared_ + arrays_[0].offset; }
  Random& random() { return random_; }
  const Launch& launch() { return *job_->launch; }

  // Whether the bytes lie in one of the block's shared arrays.
  bool holds(const void* at, size_t bytes) {
    size_t offset = static_cast<const char*>(at) - shared_;
    for (const Array& a : arrays_)
      if (offset >= a.offset && offset + bytes <= a.offset + a.bytes) return true;
    return false;
  }

  std::string failure;

 private:
  void run_block(uint64_t block);
  void start_fibre(int index, const Thread& thread);
  void yield(Fibre& from);
  void make_ready(int index);
  Fibre* pick();
  std::string stuck();
  std::string check_shared();
  void flush(int warp);

  Job* job_ = nullptr;
  char* stacks_ = nullptr;
  char* shared_ = nullptr;
  std::vector<Fibre> fibres_;
  std::vector<Warp> warps_;
  std::vector<int> ready_;
  std::vector<Array> arrays_;
  size_t sharedUsed_ = 0, sharedBytes_ = 0, sharedBytesMax_ = 0;
  int arrived_ = 0, done_ = 0, threads_ = 0;
  Site barrier_{};
  void* main_ = nullptr;
  Random random_;
  Tally tally_;
  uint64_t sectors_ = 0, sectorsIdeal_ = 0;
};

thread_local Worker* worker __attribute__((tls_model("initial-exec"))) = nullptr;

// The sectors that this launch touched: traffic only.
struct Footprint {
  std::mutex mutex;
  std::vector<bool> read, written;  // by sector from base
  std::vector<uint64_t> touchedRead, touchedWritten;
  void touch(uint64_t sector, bool stored) {
    auto& map = stored ? written : read;
    if (map.size() <= sector) map.resize(std::max<size_t>(sector + 1, map.size() * 2));
    if (map[sector]) return;
    map[sector] = true;
    (stored ? touchedWritten : touchedRead).push_back(sector);
  }
  void clear(Counts& counts) {
    counts.footprintRead += touchedRead.size() * 32;
    counts.footprintWritten += touchedWritten.size() * 32;
    for (auto s : touchedRead) read[s] = false;
    for (auto s : touchedWritten) written[s] = false;
    touchedRead.clear();
    touchedWritten.clear();
  }
};
Footprint& footprint() {
  static Footprint f;
  return f;
}

void fibre_entry() {
  const Launch& l = worker->launch();
  l.kernel->body(l.arguments);
  worker->finish();
}

std::string where() {
  return format("block (%d,%d,%d), thread %d", current->blockX, current->blockY, current->blockZ, current->index);
}

void Worker::fail(const std::string& text) {
  failure = launch().kernel->name + ": " + text;
  void* nowhere;
  emulator_switch(&nowhere, main_);
  die("a fibre ran after its failure");
}

void Worker::make_ready(int index) {
  fibres_[index].state = State::ready;
  ready_.push_back(index);
}

Fibre* Worker::pick() {
  if (ready_.empty()) return nullptr;
  size_t i = random_.below(static_cast<uint32_t>(ready_.size()));
  int index = ready_[i];
  ready_[i] = ready_.back();
  ready_.pop_back();
  return &fibres_[index];
}

void Worker::yield(Fibre& from) {
  Fibre* to = pick();
  if (to == nullptr) fail(stuck());
  if (to == &from) return;
  current = &to->thread;
  emulator_switch(&from.stack, to->stack);
}

std::string Worker::stuck() {
  std::string text = "not all threads reach a barrier or shuffle: ";
  const Fibre* waiting = nullptr;
  const Fibre* other = nullptr;
  for (const Fibre& f : fibres_) {
    if (f.thread.index >= threads_) break;
    if (f.state == State::done) {
      if (other == nullptr) other = &f;
    } else if (waiting == nullptr) {
      waiting = &f;
    } else if (other == nullptr && (f.what != waiting->what || f.site.line != waiting->site.line)) {
      other = &f;
    }
  }
  text += format("block (%d,%d,%d), thread %d waits at %s, ", waiting->thread.blockX, waiting->thread.blockY,
                 waiting->thread.blockZ, waiting->thread.index, (std::string(waiting->what) + " " + place(waiting->site)).c_str());
  if (other == nullptr) return text + "others never come";
  if (other->state == State::done) return text + format("thread %d has returned", other->thread.index);
  return text + format("thread %d at ", other->thread.index) + other->what + " " + place(other->site);
}

void Worker::meet_warp(const char* what, Site site) {
  Fibre& f = self();
  Warp& w = warp();
  if (w.threads != 32) fail(format("%s in a warp of %d threads at ", what, w.threads) + place(site));
  if (w.arrived == 0) {
    w.what = what;
    w.site = site;
  } else if (strcmp(w.what, what) != 0 || w.site.line != site.line || strcmp(w.site.file, site.file) != 0) {
    fail("lanes of a warp part ways: " + where() + " is at " + what + " " + place(site) + ", others at " + w.what + " " + place(w.site));
  }
  f.what = what;
  f.site = site;
  if (++w.arrived < w.threads) {
    f.state = State::inWarp;
    yield(f);
    return;
  }
  w.arrived = 0;
  w.phase ^= 1;
  int first = f.thread.index & ~31;
  if (traffic) flush(first / 32);
  for (int i = first; i < first + 32; i++)
    if (i != f.thread.index) make_ready(i);
  if (random_.next() >> 63) {
    make_ready(f.thread.index);
    yield(f);
  }
}

void Worker::meet_block(Site site) {
  Fibre& f = self();
  tally_.barriers++;
  if (arrived_ == 0) {
    barrier_ = site;
  } else if (barrier_.line != site.line || strcmp(barrier_.file, site.file) != 0) {
    fail("threads meet at different barriers: " + where() + " is at " + place(site) + ", others at " + place(barrier_));
  }
  f.what = "sync_block";
  f.site = site;
  if (++arrived_ < threads_) {
    f.state = State::inBlock;
    yield(f);
    return;
  }
  arrived_ = 0;
  for (int i = 0; i < threads_; i++) make_ready(i);
  yield(f);
}

void Worker::finish() {
  Fibre& f = self();
  f.state = State::done;
  if (++done_ < threads_) {
    yield(f);
    die("a fibre ran after its end");
  }
  void* nowhere;
  emulator_switch(&nowhere, main_);
  die("a fibre ran after its end");
}

void* Worker::shared_array(const void* declaration, size_t bytes, const char* name) {
  for (const Array& a : arrays_)
    if (a.declaration == declaration) return shared_ + a.offset;
  size_t offset = round_up(sharedUsed_, 16);
  size_t size = round_up(bytes, 16);
  if (offset + size + redzoneBytes > sharedAreaBytes || sharedBytes_ + size > sharedBytesMax)
    fail(format("%zu bytes of shared memory, %zu allowed", sharedBytes_ + size, sharedBytesMax));
  arrays_.push_back({declaration, name, offset, bytes});
  sharedUsed_ = offset + bytes + redzoneBytes;
  sharedBytes_ += size;
  // Half of the fills are NaN, the other half plausible numbers.
  uint64_t word = random_.next();
  if (word & 1) word |= 0x7FC000007FC00000;
  fill_with_garbage(shared_ + offset, bytes, word);
  memset(shared_ + offset + bytes, 0xFB, redzoneBytes);
  return shared_ + offset;
}

std::string Worker::check_shared() {
  sharedBytesMax_ = std::max(sharedBytesMax_, sharedBytes_);
  for (const Array& a : arrays_)
    for (size_t i = 0; i < redzoneBytes; i++)
      if (static_cast<unsigned char>(shared_[a.offset + a.bytes + i]) != 0xFB)
        return format("something wrote %zu bytes behind the end of shared array %s (%zu bytes)", i, a.name, a.bytes);
  return "";
}

void Worker::start_fibre(int index, const Thread& thread) {
  Fibre& f = fibres_[index];
  f.thread = thread;
  f.thread.index = index;
  f.state = State::ready;
  f.groups.clear();
  f.open.clear();
  f.accesses.clear();
  char* stack = stacks_ + index * stackBytes;
  memcpy(stack, &stackCanary, sizeof stackCanary);
  // Tops at different offsets, or all fibres' frames would share a few cache lines.
  f.stack = fibre_start(stack + stackBytes - index % 32 * 192, fibre_entry);
}

void Worker::run_block(uint64_t block) {
  const Launch& l = launch();
  Thread thread;
  thread.blockX = static_cast<int>(block % l.grid[0]);
  thread.blockY = static_cast<int>(block / l.grid[0] % l.grid[1]);
  thread.blockZ = static_cast<int>(block / l.grid[0] / l.grid[1]);
  thread.gridX = static_cast<int>(l.grid[0]);
  thread.gridY = static_cast<int>(l.grid[1]);
  thread.gridZ = static_cast<int>(l.grid[2]);
  thread.threads = threads_;
  thread.tagFirst = job_->tagFirst;
  thread.tag = job_->tagFirst + static_cast<uint32_t>(block);
  thread.tally = &tally_;

  random_.start(job_->seed, block);
  arrays_.clear();
  sharedUsed_ = sharedBytes_ = 0;
  arrived_ = done_ = 0;
  ready_.clear();
  for (int i = 0; i < threads_; i++) {
    start_fibre(i, thread);
    ready_.push_back(i);
  }
  warps_.resize((threads_ + 31) / 32);
  for (int i = 0; i < static_cast<int>(warps_.size()); i++) {
    warps_[i].threads = std::min(32, threads_ - 32 * i);
    warps_[i].arrived = 0;
  }
  Fibre* first = pick();
  current = &first->thread;
  shared_array(this, l.sharedBytes, "dynamic");
  emulator_switch(&main_, first->stack);
  if (!failure.empty()) return;
  if (traffic)
    for (size_t i = 0; i < warps_.size(); i++) flush(static_cast<int>(i));
  std::string text = check_shared();
  for (int i = 0; i < threads_ && text.empty(); i++)
    if (memcmp(stacks_ + i * stackBytes, &stackCanary, sizeof stackCanary) != 0) text = "a thread's stack is too long for the emulator";
  if (!text.empty())
    failure = l.kernel->name + ": " + text + format(", block (%d,%d,%d)", thread.blockX, thread.blockY, thread.blockZ);
}

void Worker::run(Job& job) {
  worker = this;
  job_ = &job;
  threads_ = static_cast<int>(job.launch->threads);
  if (stacks_ == nullptr) {
    stacks_ = static_cast<char*>(reserve(threadsMax * stackBytes));
    shared_ = static_cast<char*>(reserve(sharedAreaBytes));
    fibres_.resize(threadsMax);
  }
  failure.clear();
  while (failure.empty() && !job.failed) {
    uint64_t i = job.next++;
    if (i >= job.blocks) break;
    run_block((i * job.stride + job.offset) % job.blocks);
  }
  if (!failure.empty()) job.failed = true;
  worker = nullptr;
  current = nullptr;
}

// Adds the accesses of a warp since it last met: those of one line and one count on it are one access of the warp.
void Worker::flush(int warp) {
  struct Key {
    Site site;
    uint32_t nth;
    uint64_t address;
    uint32_t bytes;
    bool stored;
    bool same(const Key& k) const {
      return site.line == k.site.line && site.file == k.site.file && nth == k.nth && stored == k.stored;
    }
  };
  std::vector<Key> keys;
  std::map<std::pair<const char*, int>, uint32_t> seen;
  for (int i = 32 * warp; i < std::min(32 * warp + 32, threads_); i++) {
    seen.clear();
    for (const Access& a : fibres_[i].accesses)
      keys.push_back({a.site, seen[{a.site.file, a.site.line}]++, a.address, a.bytes, a.stored});
    fibres_[i].accesses.clear();
  }
  std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
    if (a.site.file != b.site.file) return a.site.file < b.site.file;
    if (a.site.line != b.site.line) return a.site.line < b.site.line;
    if (a.nth != b.nth) return a.nth < b.nth;
    return a.address < b.address;
  });
  Footprint& f = footprint();
  std::lock_guard<std::mutex> lock(f.mutex);
  for (size_t i = 0; i < keys.size();) {
    uint64_t last = ~uint64_t{0}, end = 0, bytes = 0;
    size_t j = i;
    for (; j < keys.size() && keys[j].same(keys[i]); j++) {
      uint64_t address = keys[j].address - base, stop = address + keys[j].bytes;
      if (stop > end) {
        bytes += stop - std::max(address, end);
        end = stop;
      }
      if (address / 32 != last) {
        last = address / 32;
        sectors_++;
        f.touch(last, keys[j].stored);
      }
    }
    sectorsIdeal_ += (bytes + 31) / 32;
    i = j;
  }
}

void Worker::merge(Counts& c) {
  c.loads += tally_.loads;
  c.stores += tally_.stores;
  c.bytesRead += tally_.bytesRead;
  c.bytesWritten += tally_.bytesWritten;
  c.dp4a += tally_.dp4a;
  c.mma += tally_.mma;
  c.barriers += tally_.barriers;
  c.shuffles += tally_.shuffles;
  c.sectors += sectors_;
  c.sectorsIdeal += sectorsIdeal_;
  c.sharedBytes = std::max<uint64_t>(c.sharedBytes, sharedBytesMax_);
  tally_ = Tally{};
  sectors_ = sectorsIdeal_ = sharedBytesMax_ = 0;
}

// The host threads. The launching one works as well.
class Pool {
 public:
  Pool() {
    unsigned n = std::max(1u, std::thread::hardware_concurrency());
    workers_.resize(n);
    for (auto& w : workers_) w = new Worker;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the host program's business
    for (unsigned i = 1; i < n; i++) std::thread([this, i] { serve(i); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // Only the threads that came in time take part: on a busy machine a launch does not wait for the others to wake.
  std::string run(Job& job) {
    bool alone = workers_.size() == 1 || job.blocks == 1 || job.blocks * job.launch->threads <= 1024;
    if (!alone) {
      std::lock_guard<std::mutex> lock(mutex_);
      job_ = &job;
      turn_++;
      wake_.notify_all();
    }
    workers_[0]->run(job);
    if (!alone) {
      std::unique_lock<std::mutex> lock(mutex_);
      job_ = nullptr;
      idle_.wait(lock, [this] { return busy_ == 0; });
    }
    std::string failure;
    for (auto& w : workers_) {
      if (failure.empty()) failure = w->failure;
      w->failure.clear();
    }
    return failure;
  }

  void merge(Counts& c) {
    for (auto& w : workers_) w->merge(c);
  }

 private:
  void serve(unsigned i) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return turn_ != seen; });
      seen = turn_;
      Job* job = job_;
      if (job == nullptr) continue;
      busy_++;
      lock.unlock();
      workers_[i]->run(*job);
      lock.lock();
      if (--busy_ == 0) idle_.notify_all();
    }
  }

  std::vector<Worker*> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, idle_;
  Job* job_ = nullptr;
  uint64_t turn_ = 0;
  int busy_ = 0;
};

// What outlives launches. Never destroyed: the pool's threads run until the process ends.
struct Machine {
  std::mutex mutex;
  Pool pool;
  std::map<std::string, Counts> counts;
  std::vector<std::string> order;  // of first launches
  uint64_t seed = 1, launches = 0;
  uint64_t tags = 1;
};
Machine& machine() {
  static Machine* m = new Machine;
  return *m;
}

uint64_t common_divisor(uint64_t a, uint64_t b) { return b == 0 ? a : common_divisor(b, a % b); }

// Tags are 32 bits: when they run out, the writers of old launches are forgotten.
uint32_t take_tags(Machine& m, uint64_t blocks) {
  if (m.tags + blocks > UINT32_MAX) {
    madvise(writers, reserved, MADV_DONTNEED);
    m.tags = 1;
  }
  uint64_t first = m.tags;
  m.tags += blocks;
  return static_cast<uint32_t>(first);
}

}  // namespace

Registration::Registration(const char* name, size_t argumentBytes, void (*body)(const void*), int threads) {
  if (!registry().emplace(name, Kernel{name, argumentBytes, body, threads}).second) {
    fprintf(stderr, "emulator: two kernels are called %s\n", name);
    abort();
  }
}

const Kernel* find(const char* name) {
  auto k = registry().find(name);
  return k == registry().end() ? nullptr : &k->second;
}

void* allocate(size_t bytes) {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  if (bytes == 0 || bytes >= reserved) return nullptr;
  uint64_t length = round_up(bytes, 256) + 256;
  uint64_t at = gap_from(m, m.cursor, length);
  if (at == reserved) at = gap_from(m, 0, length);
  if (at == reserved) return nullptr;
  m.live[at] = bytes;
  m.cursor = at + length;
  for (uint64_t i = 0; i < bytes; i += 256) extents[(at + i) / 256] = static_cast<uint16_t>(std::min<uint64_t>(256, bytes - i));
  if (bytes <= fillBytesMax) fill_with_garbage(m.region + at, bytes, 0xFFD3B16E7FF1C2A5);
  return m.region + at;
}

size_t allocated(const void* address) {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  auto found = m.live.find(reinterpret_cast<uint64_t>(address) - base);
  return found == m.live.end() ? 0 : found->second;
}

bool release(void* address) {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  auto found = m.live.find(reinterpret_cast<uint64_t>(address) - base);
  if (found == m.live.end()) return false;
  uint64_t at = found->first, end = at + found->second;
  memset(&extents[at / 256], 0, round_up(end - at, 256) / 256 * sizeof(uint16_t));
  uint64_t first = round_up(at, 4096), last = end / 4096 * 4096;
  if (first < last) madvise(m.region + first, last - first, MADV_DONTNEED);
  m.live.erase(found);
  return true;
}

bool contains(const void* address, size_t bytes) {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  uint64_t at = reinterpret_cast<uint64_t>(address) - base;
  auto next = m.live.upper_bound(at);
  if (at >= reserved || next == m.live.begin()) return false;
  auto in = std::prev(next);
  return at + bytes <= in->first + in->second;
}

std::string launch(const Launch& l) {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  const std::string& name = l.kernel->name;
  if (l.threads == 0 || l.threads > static_cast<unsigned>(l.kernel->threadsMax))
    return name + format(": %u threads in a block, 1 to %d allowed", l.threads, l.kernel->threadsMax);
  if (l.grid[0] == 0 || l.grid[1] == 0 || l.grid[2] == 0 || l.grid[0] > 0x7FFFFFFF || l.grid[1] > 65535 || l.grid[2] > 65535)
    return name + format(": a grid of (%u,%u,%u) blocks", l.grid[0], l.grid[1], l.grid[2]);
  if (l.sharedBytes > sharedBytesMax)
    return name + format(": %zu bytes of shared memory, %zu allowed", l.sharedBytes, sharedBytesMax);

  Job job;
  job.launch = &l;
  job.blocks = uint64_t{l.grid[0]} * l.grid[1] * l.grid[2];
  if (job.blocks >= UINT32_MAX) return name + ": too many blocks for the emulator";
  job.tagFirst = take_tags(m, job.blocks);
  Random random;
  random.start(m.seed, m.launches++);
  job.seed = random.next();
  job.offset = random.next() % job.blocks;
  do job.stride = random.next() % job.blocks + 1;
  while (common_divisor(job.stride, job.blocks) != 1);

  std::string failure = m.pool.run(job);
  if (m.counts.count(name) == 0) m.order.push_back(name);
  Counts& c = m.counts[name];
  c.launches++;
  c.blocks += job.blocks;
  c.threads += job.blocks * l.threads;
  c.blocksLast = job.blocks;
  c.threadsLast = l.threads;
  m.pool.merge(c);
  if (traffic) footprint().clear(c);
  return failure;
}

Counts counts(const char* kernel) {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  auto found = m.counts.find(kernel);
  return found == m.counts.end() ? Counts{} : found->second;
}

std::string describe_counts() {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  std::string text = "[";
  for (const std::string& name : m.order) {
    const Counts& c = m.counts[name];
    if (text.size() > 1) text += ",\n";
    text += "{\"name\":\"" + name + "\"";
    const std::pair<const char*, uint64_t> numbers[] = {
        {"launches", c.launches}, {"blocks", c.blocks}, {"threads", c.threads}, {"loads", c.loads}, {"stores", c.stores},
        {"bytes_read", c.bytesRead}, {"bytes_written", c.bytesWritten}, {"sectors", c.sectors}, {"sectors_ideal", c.sectorsIdeal},
        {"footprint_read", c.footprintRead}, {"footprint_written", c.footprintWritten}, {"dp4a", c.dp4a}, {"mma", c.mma},
        {"barriers", c.barriers}, {"shuffles", c.shuffles}, {"shared_bytes", c.sharedBytes}, {"blocks_last", c.blocksLast},
        {"threads_last", c.threadsLast}};
    for (auto& [key, value] : numbers) text += ",\"" + std::string(key) + "\":" + std::to_string(value);
    text += "}";
  }
  return text + "]";
}

void reset_counts() {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  m.counts.clear();
  m.order.clear();
}

void count_traffic(bool on) {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  traffic = on;
}

void seed(uint64_t seed) {
  Machine& m = machine();
  std::lock_guard<std::mutex> lock(m.mutex);
  m.seed = seed;
  m.launches = 0;
}

void fault(const char* what, const void* address, size_t bytes, Site site) {
  worker->fail(format("%s %p, %zu bytes, at ", what, address, bytes) + place(site) + ", " + where());
}

void conflict(const char* what, const void* address, uint32_t tag, Site site) {
  worker->fail(where() + format(" %s %p at ", what, address) + place(site) +
               format(", which block number %u of the launch writes", tag - current->tagFirst));
}

void record(const void* address, size_t bytes, bool stored, Site site) {
  worker->self().accesses.push_back({site, reinterpret_cast<uint64_t>(address), static_cast<uint32_t>(bytes), stored});
}

uint32_t exchange(uint32_t value, int from, const char* what, Site site) {
  Warp& w = worker->warp();
  current->tally->shuffles++;
  int phase = w.phase;
  w.slots[phase][current->index & 31][0] = value;
  worker->meet_warp(what, site);
  return w.slots[phase][from][0];
}

void meet_block(Site site) { worker->meet_block(site); }
void meet_warp(Site site) { worker->meet_warp("sync_warp", site); }

void multiply(int (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  Warp& w = worker->warp();
  int lane = current->index & 31, phase = w.phase;
  if (lane == 0) current->tally->mma++;
  uint32_t* mine = w.slots[phase][lane];
  memcpy(mine, a, sizeof a);
  memcpy(mine + 4, b, sizeof b);
  worker->meet_warp("mma_s8", site);
  auto& slots = w.slots[phase];
  int group = lane / 4, pair = lane % 4;
  for (int i = 0; i < 4; i++) {
    int row = i / 2, column = 2 * pair + i % 2, sum = 0;
    for (int t = 0; t < 4; t++) {
      const uint32_t *x = slots[4 * group + t], *y = slots[4 * column + t];
      for (int k = 0; k < 32; k += 8) {
        sum += static_cast<int8_t>(x[row] >> k) * static_cast<int8_t>(y[4] >> k);
        sum += static_cast<int8_t>(x[row + 2] >> k) * static_cast<int8_t>(y[5] >> k);
      }
    }
    c[i] += sum;
  }
}

void async_copy(void* shared, const void* global, Site site) {
  if (reinterpret_cast<uintptr_t>(shared) % 16 != 0) fault("misaligned shared address", shared, 16, site);
  if (!worker->holds(shared, 16)) fault("copy to what is no shared array", shared, 16, site);
  watch_load(global, 16, site);
  // At once or late: a kernel may rely on neither. Before sm_80 there is only at once.
  if (ARCH < 80 || worker->random().next() >> 63) {
    memcpy(shared, global, 16);
    return;
  }
  worker->self().open.push_back({shared, global});
}

void async_commit() {
  Fibre& f = worker->self();
  f.groups.push_back(std::move(f.open));
  f.open.clear();
}

void async_wait(int newest) {
  Fibre& f = worker->self();
  size_t ripe = f.groups.size() > static_cast<size_t>(newest) ? f.groups.size() - newest : 0;
  for (size_t i = 0; i < ripe; i++)
    for (const Copy& c : f.groups[i]) memcpy(c.shared, c.global, 16);
  f.groups.erase(f.groups.begin(), f.groups.begin() + ripe);
}

void* shared_array(const void* declaration, size_t bytes, const char* name) { return worker->shared_array(declaration, bytes, name); }
void* dynamic_shared() { return worker->dynamic(); }

}  // namespace emulator
