// A libcuda.so.1 for tests on machines without a card: the calls that kernels/cuda makes, with kernels run by the emulator.
//
// It is stricter than the driver. Work of a stream is done as late as it may, in cuStreamSynchronize; host memory of copies must
// be pinned; every call but those that need none wants a current context. What is still there when a context goes counts as leaked.
//
// Settings are a text of words, name=value, from the environment variable FAKE_CUDA when the library is loaded, or given to
// fake_configure, which also forgets all counts:
//
//   devices=N memory=BYTES level=NN driver=NNNNN seed=N   what is there
//   fail=CALL:N:CODE                                      the Nth call of that name from now on returns CODE, once
//   traffic=1                                             sectors and footprints of kernels are counted (slow)
//   statistics=FILE                                       counts are written there whenever a context goes
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "../emulator/emulator.h"

#ifndef ARCH
#define ARCH 80
#endif

namespace {

using Clock = std::chrono::steady_clock;

enum Code {
  success = 0, invalidValue = 1, outOfMemory = 2, notInitialized = 3, noDevice = 100, invalidDevice = 101, invalidImage = 200,
  invalidContext = 201, noBinary = 209, invalidPtx = 218, invalidHandle = 400, notFound = 500, notReady = 600, illegalAddress = 700,
  launchOutOfResources = 701, captureUnsupported = 900,
};

const std::map<int, const char*> codeNames = {
    {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"}, {101, "CUDA_ERROR_INVALID_DEVICE"},
    {200, "CUDA_ERROR_INVALID_IMAGE"}, {201, "CUDA_ERROR_INVALID_CONTEXT"}, {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE"}, {218, "CUDA_ERROR_INVALID_PTX"}, {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
    {400, "CUDA_ERROR_INVALID_HANDLE"}, {500, "CUDA_ERROR_NOT_FOUND"}, {600, "CUDA_ERROR_NOT_READY"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY"}, {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}, {999, "CUDA_ERROR_UNKNOWN"}};

// After these a context gives the same error to every call.
const std::set<int> lasting = {214, 220, 700, 702, 714, 715, 716, 717, 718, 719, 999};

struct Function {
  const emulator::Kernel* kernel;
  unsigned threadsMax;
  size_t sharedBytesMax = 48 << 10;
};

struct Module {
  struct Entry { size_t argumentBytes; unsigned threadsMax; };
  std::map<std::string, Entry> entries;
  std::map<std::string, std::unique_ptr<Function>> functions;
};

using Work = std::function<int()>;
struct Graph { std::vector<Work> nodes; };
struct Stream {
  std::vector<Work> waiting;
  std::unique_ptr<Graph> capture;
};
struct Event { Clock::time_point at; bool reached = false; };

struct Context {
  int device = 0, users = 0, broken = 0;
  uint64_t bytesUsed = 0;
  std::map<uint64_t, uint64_t> memory;  // address, bytes
  std::map<char*, size_t> pinned;
  std::map<Stream*, std::unique_ptr<Stream>> streams;
  std::map<Module*, std::unique_ptr<Module>> modules;
  std::map<Graph*, std::unique_ptr<Graph>> graphs, executables;
  std::map<Event*, std::unique_ptr<Event>> events;

  size_t objects() const {
    return memory.size() + pinned.size() + streams.size() + modules.size() + graphs.size() + executables.size() + events.size();
  }
};

struct State {
  std::recursive_mutex mutex;
  bool initialised = false;
  int devices = 1, level = ARCH, driver = 12040;
  uint64_t memoryBytes = uint64_t{1} << 30;
  std::string statistics, failCall, message;
  uint64_t failNumber = 0;
  int failCode = 0;
  std::map<std::string, uint64_t> calls;
  uint64_t leaked = 0, launches = 0, graphLaunches = 0, bytesMost = 0;
  std::map<int, std::unique_ptr<Context>> contexts;

  State() {
    if (const char* text = getenv("FAKE_CUDA")) configure(text);
  }

  void write_statistics() const {
    if (statistics.empty()) return;
    if (FILE* f = fopen(statistics.c_str(), "w")) {
      fputs(report().c_str(), f);
      fclose(f);
    }
  }

  void configure(const char* text) {
    devices = 1, level = ARCH, driver = 12040, memoryBytes = uint64_t{1} << 30;
    failCall.clear(), message.clear(), calls.clear();
    failNumber = 0, leaked = 0, launches = 0, graphLaunches = 0, bytesMost = 0;
    emulator::count_traffic(false);
    emulator::reset_counts();
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      size_t at = word.find('=');
      std::string name = word.substr(0, at), value = at == std::string::npos ? "" : word.substr(at + 1);
      if (name == "devices") devices = atoi(value.c_str());
      else if (name == "memory") memoryBytes = strtoull(value.c_str(), nullptr, 10);
      else if (name == "level") level = atoi(value.c_str());
      else if (name == "driver") driver = atoi(value.c_str());
      else if (name == "traffic") emulator::count_traffic(value == "1");
      else if (name == "seed") emulator::seed(strtoull(value.c_str(), nullptr, 10));
      else if (name == "statistics") statistics = value;
      else if (name == "fail") {
        size_t last = value.rfind(':'), middle = value.rfind(':', last - 1);
        failCall = value.substr(0, middle), failNumber = strtoull(value.c_str() + middle + 1, nullptr, 10);
        failCode = atoi(value.c_str() + last + 1);
      } else {
        fprintf(stderr, "fake libcuda: unknown setting %s\n", word.c_str());
        abort();
      }
    }
  }

  size_t live() const {
    size_t n = 0;
    for (auto& [device, c] : contexts) n += c->objects() + c->users;
    return n;
  }

  std::string report() const {
    std::ostringstream out;
    out << "{\"live\":" << live() << ",\"leaked\":" << leaked << ",\"launches\":" << launches << ",\"graph_launches\":" << graphLaunches
        << ",\"bytes_most\":" << bytesMost << ",\"calls\":{";
    const char* comma = "";
    for (auto& [name, n] : calls) out << comma << '"' << name << "\":" << n, comma = ",";
    out << "},\"kernels\":" << emulator::describe_counts() << "}\n";
    return out.str();
  }
};

State state;
thread_local Context* current = nullptr;

// Calls that give something back do so even when they are made to fail, like cuDevicePrimaryCtxRelease of a broken context.
bool gives_back(const std::string& name) {
  return name.find("Free") != std::string::npos || name.find("Destroy") != std::string::npos || name.find("Unload") != std::string::npos ||
         name.find("Release") != std::string::npos;
}

// A call begins: counted, perhaps made to fail, refused where a context is missing or broken.
int begin(const char* name, bool wantsContext) {
  uint64_t n = ++state.calls[name];
  if (name == state.failCall && n == state.failNumber) {
    state.message = std::string(name) + " was made to fail";
    if (current && lasting.count(state.failCode)) current->broken = state.failCode;
    if (!gives_back(name)) return state.failCode;
  }
  if (!wantsContext) return success;
  if (!state.initialised) return notInitialized;
  if (!current) return invalidContext;
  return current->broken;
}

int complain(int code, const std::string& text) {
  state.message = text;
  fprintf(stderr, "fake libcuda: %s\n", text.c_str());
  return code;
}

// run does what waits in a stream.
int run(Stream* s) {
  std::vector<Work> work;
  work.swap(s->waiting);
  for (auto& w : work)
    if (int code = w()) return code;
  return success;
}

int run_all(Context* c) {
  for (auto& [s, owned] : c->streams)
    if (int code = run(s)) return code;
  return success;
}

// What the emulator has, which is less than sm_90's.
int shared_bytes_max() { return state.level >= 80 ? 163 << 10 : 96 << 10; }

// add puts work on a stream, or into the graph that is captured from it.
int add(Stream* s, Work w) {
  if (!current->streams.count(s)) return invalidHandle;
  (s->capture ? s->capture->nodes : s->waiting).push_back(std::move(w));
  return success;
}

// A range of device memory of the current context.
bool on_device(uint64_t address, uint64_t bytes) {
  auto it = current->memory.upper_bound(address);
  if (it == current->memory.begin()) return false;
  --it;
  return address + bytes <= it->first + it->second && address + bytes >= address;
}
bool pinned(const void* p, uint64_t bytes) {
  auto it = current->pinned.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (it == current->pinned.begin()) return false;
  --it;
  return static_cast<const char*>(p) + bytes <= it->first + it->second;
}

// Entry points of PTX with the bytes of their one parameter and the most threads of a block.
int read_ptx(const std::string& text, Module* m) {
  size_t version = text.find(".version "), target = text.find(".target sm_");
  if (version == std::string::npos || target == std::string::npos) return complain(invalidPtx, "a module that is no PTX");
  int level = atoi(text.c_str() + target + 11);
  if (level > state.level) return complain(noBinary, "PTX for sm_" + std::to_string(level) + " on sm_" + std::to_string(state.level));
  for (size_t at = 0; (at = text.find(".entry ", at)) != std::string::npos;) {
    at += 7;
    size_t open = text.find('(', at), close = text.find(')', at), body = text.find('{', at);
    if (body == std::string::npos) return complain(invalidPtx, "a kernel without a body");
    std::string name = text.substr(at, open - at), parameters = text.substr(open, close - open);
    size_t size = parameters.find("_param_0[");
    if (size == std::string::npos || parameters.find(',') != std::string::npos)
      return complain(invalidPtx, name + ": its parameters are not one struct");
    unsigned threads = 1024;
    if (size_t n = text.find(".maxntid ", close); n < body) threads = atoi(text.c_str() + n + 9);
    m->entries[name] = {strtoull(parameters.c_str() + size + 9, nullptr, 10), threads};
  }
  return success;
}

int launch_checked(Function* f, const unsigned* grid, unsigned threads, unsigned shared, std::shared_ptr<std::vector<char>> arguments) {
  state.launches++;
  emulator::Launch l{f->kernel, {grid[0], grid[1], grid[2]}, threads, shared, arguments->data()};
  std::string wrong = emulator::launch(l);
  if (wrong.empty()) return success;
  current->broken = illegalAddress;
  return complain(illegalAddress, wrong);
}

}  // namespace

#define CALL(name) extern "C" __attribute__((visibility("default"))) int name
#define BEGIN(wantsContext)                                   \
  std::lock_guard<std::recursive_mutex> hold(state.mutex);    \
  if (int code = begin(__func__, wantsContext)) return code

// done is what a call that gives something back returns: it may have been made to fail all the same.
static int done(const char* name, int code) {
  return name == state.failCall && state.calls[name] == state.failNumber ? state.failCode : code;
}

CALL(cuInit)(unsigned) {
  BEGIN(false);
  if (state.devices == 0) return noDevice;
  state.initialised = true;
  return success;
}
CALL(cuDriverGetVersion)(int* version) {
  BEGIN(false);
  *version = state.driver;
  return success;
}
CALL(cuGetErrorName)(int code, const char** name) {
  std::lock_guard<std::recursive_mutex> hold(state.mutex);
  auto it = codeNames.find(code);
  *name = it == codeNames.end() ? nullptr : it->second;
  return it == codeNames.end() ? invalidValue : success;
}

CALL(cuDeviceGetCount)(int* count) {
  BEGIN(false);
  *count = state.devices;
  return success;
}
CALL(cuDeviceGet)(int* device, int ordinal) {
  BEGIN(false);
  if (ordinal < 0 || ordinal >= state.devices) return invalidDevice;
  *device = ordinal;
  return success;
}
CALL(cuDeviceGetName)(char* name, int length, int device) {
  BEGIN(false);
  snprintf(name, length, "emulated card %d", device);
  return success;
}
CALL(cuDeviceGetAttribute)(int* value, int attribute, int) {
  BEGIN(false);
  switch (attribute) {
    case 13: *value = 1000000; return success;  // kHz
    case 16: *value = 4; return success;  // multiprocessors
    case 75: *value = state.level / 10; return success;
    case 76: *value = state.level % 10; return success;
    case 97: *value = shared_bytes_max(); return success;
  }
  return complain(invalidValue, "attribute " + std::to_string(attribute) + " is unknown");
}
CALL(cuDeviceTotalMem_v2)(size_t* bytes, int) {
  BEGIN(false);
  *bytes = state.memoryBytes;
  return success;
}

CALL(cuDevicePrimaryCtxRetain)(Context** context, int device) {
  BEGIN(false);
  if (!state.initialised) return notInitialized;
  auto& c = state.contexts[device];
  if (!c) c = std::make_unique<Context>();
  c->device = device;
  c->users++;
  *context = c.get();
  return success;
}
CALL(cuDevicePrimaryCtxRelease_v2)(int device) {
  BEGIN(false);
  auto it = state.contexts.find(device);
  if (it == state.contexts.end()) return invalidContext;
  Context* c = it->second.get();
  if (--c->users > 0) return done(__func__, c->broken);
  int broken = c->broken;
  state.leaked += c->objects();
  for (auto& [address, bytes] : c->memory) emulator::release(reinterpret_cast<void*>(address));
  for (auto& [p, bytes] : c->pinned) free(p);
  if (current == c) current = nullptr;
  state.contexts.erase(it);
  state.write_statistics();
  return done(__func__, broken);
}
CALL(cuCtxSetCurrent)(Context* context) {
  BEGIN(false);
  bool known = !context;
  for (auto& [device, c] : state.contexts) known |= c.get() == context;
  if (!known) return invalidContext;
  current = context;
  return context ? context->broken : success;
}

CALL(cuMemGetInfo_v2)(size_t* free, size_t* total) {
  BEGIN(true);
  *total = state.memoryBytes;
  *free = state.memoryBytes - current->bytesUsed;
  return success;
}
CALL(cuMemAlloc_v2)(uint64_t* address, size_t bytes) {
  BEGIN(true);
  if (bytes == 0) return invalidValue;
  size_t rounded = (bytes + 511) / 512 * 512;
  if (current->bytesUsed + rounded > state.memoryBytes) return outOfMemory;
  void* p = emulator::allocate(bytes);
  if (!p) return outOfMemory;
  *address = reinterpret_cast<uint64_t>(p);
  current->memory[*address] = bytes;
  current->bytesUsed += rounded;
  state.bytesMost = std::max(state.bytesMost, current->bytesUsed);
  return success;
}
CALL(cuMemFree_v2)(uint64_t address) {
  BEGIN(true);
  if (int code = run_all(current)) return code;
  auto it = current->memory.find(address);
  if (it == current->memory.end()) return complain(invalidValue, "cuMemFree of what is not allocated");
  current->bytesUsed -= (it->second + 511) / 512 * 512;
  current->memory.erase(it);
  emulator::release(reinterpret_cast<void*>(address));
  return done(__func__, success);
}
CALL(cuMemHostAlloc)(void** p, size_t bytes, unsigned) {
  BEGIN(true);
  char* memory = static_cast<char*>(malloc(bytes));
  if (!memory) return outOfMemory;
  memset(memory, 0xA5, bytes);
  current->pinned[memory] = bytes;
  *p = memory;
  return success;
}
CALL(cuMemFreeHost)(char* p) {
  BEGIN(true);
  if (int code = run_all(current)) return code;
  if (!current->pinned.erase(p)) return invalidValue;
  free(p);
  return done(__func__, success);
}

CALL(cuStreamCreate)(Stream** stream, unsigned) {
  BEGIN(true);
  auto s = std::make_unique<Stream>();
  *stream = s.get();
  current->streams[*stream] = std::move(s);
  return success;
}
CALL(cuStreamDestroy_v2)(Stream* stream) {
  BEGIN(true);
  if (!current->streams.count(stream)) return invalidHandle;
  int code = run(stream);
  current->streams.erase(stream);
  return done(__func__, code);
}
CALL(cuStreamSynchronize)(Stream* stream) {
  BEGIN(true);
  if (!current->streams.count(stream)) return invalidHandle;
  if (stream->capture) return captureUnsupported;
  return run(stream);
}

CALL(cuMemcpyHtoDAsync_v2)(uint64_t to, const void* from, size_t bytes, Stream* stream) {
  BEGIN(true);
  if (!on_device(to, bytes)) return complain(invalidValue, "copy to device: not within an allocation");
  if (!pinned(from, bytes)) return complain(invalidValue, "copy to device: the source is not pinned");
  return add(stream, [=] {
    if (!on_device(to, bytes) || !pinned(from, bytes)) return complain(illegalAddress, "copy to device: freed meanwhile");
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return int(success);
  });
}
CALL(cuMemcpyDtoHAsync_v2)(void* to, uint64_t from, size_t bytes, Stream* stream) {
  BEGIN(true);
  if (!on_device(from, bytes)) return complain(invalidValue, "copy from device: not within an allocation");
  if (!pinned(to, bytes)) return complain(invalidValue, "copy from device: the target is not pinned");
  return add(stream, [=] {
    if (!on_device(from, bytes) || !pinned(to, bytes)) return complain(illegalAddress, "copy from device: freed meanwhile");
    memcpy(to, reinterpret_cast<void*>(from), bytes);
    return int(success);
  });
}
CALL(cuMemcpyDtoDAsync_v2)(uint64_t to, uint64_t from, size_t bytes, Stream* stream) {
  BEGIN(true);
  if (!on_device(to, bytes) || !on_device(from, bytes)) return complain(invalidValue, "copy within device: not within an allocation");
  if (to < from + bytes && from < to + bytes) return complain(invalidValue, "copy within device: the ranges overlap");
  return add(stream, [=] {
    if (!on_device(to, bytes) || !on_device(from, bytes)) return complain(illegalAddress, "copy within device: freed meanwhile");
    memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    return int(success);
  });
}
CALL(cuMemsetD8Async)(uint64_t address, unsigned char value, size_t bytes, Stream* stream) {
  BEGIN(true);
  if (!on_device(address, bytes)) return complain(invalidValue, "fill: not within an allocation");
  return add(stream, [=] {
    if (!on_device(address, bytes)) return complain(illegalAddress, "fill: freed meanwhile");
    memset(reinterpret_cast<void*>(address), value, bytes);
    return int(success);
  });
}

CALL(cuModuleLoadDataEx)(Module** module, const void* image, unsigned options, const int* option, void** values) {
  BEGIN(true);
  auto m = std::make_unique<Module>();
  if (int code = read_ptx(static_cast<const char*>(image), m.get())) {
    for (unsigned i = 0; i < options; i++)
      if (option[i] == 5) strcpy(static_cast<char*>(values[i]), state.message.c_str());  // there are 4096 bytes
    return code;
  }
  *module = m.get();
  current->modules[*module] = std::move(m);
  return success;
}
CALL(cuModuleUnload)(Module* module) {
  BEGIN(true);
  return done(__func__, current->modules.erase(module) ? success : invalidHandle);
}
CALL(cuModuleGetFunction)(Function** function, Module* module, const char* name) {
  BEGIN(true);
  if (!current->modules.count(module)) return invalidHandle;
  auto entry = module->entries.find(name);
  const emulator::Kernel* kernel = emulator::find(name);
  if (entry == module->entries.end()) return notFound;
  if (!kernel) return complain(notFound, std::string("kernel ") + name + " is in the PTX but not in the emulator");
  if (kernel->argumentBytes != entry->second.argumentBytes)
    return complain(invalidImage, std::string("kernel ") + name + " has arguments of other sizes in the PTX and the emulator");
  auto& f = module->functions[name];
  if (!f) {
    f = std::make_unique<Function>();
    f->kernel = kernel;
    f->threadsMax = entry->second.threadsMax;
  }
  *function = f.get();
  return success;
}
CALL(cuFuncSetAttribute)(Function* f, int attribute, int value) {
  BEGIN(true);
  if (attribute != 8 || value < 0 || value > shared_bytes_max()) return invalidValue;
  f->sharedBytesMax = value;
  return success;
}
CALL(cuLaunchKernel)(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                     Stream* stream, void** parameters, void** extra) {
  BEGIN(true);
  if (!gx || !gy || !gz || gx > 0x7FFFFFFF || gy > 65535 || gz > 65535 || !bx || by != 1 || bz != 1 || extra) return invalidValue;
  if (bx > f->threadsMax) return complain(launchOutOfResources, f->kernel->name + ": too many threads in a block");
  if (shared > f->sharedBytesMax) return complain(invalidValue, f->kernel->name + ": more dynamic shared memory than was allowed");
  const char* from = static_cast<const char*>(parameters[0]);
  auto arguments = std::make_shared<std::vector<char>>(from, from + f->kernel->argumentBytes);
  return add(stream, [=] {
    unsigned grid[3] = {gx, gy, gz};
    return launch_checked(f, grid, bx, shared, arguments);
  });
}

struct LaunchAttribute {
  int id, padding, value;
  char rest[60];
};
struct LaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  Stream* stream;
  LaunchAttribute* attributes;
  unsigned count;
};
static_assert(sizeof(LaunchAttribute) == 72 && sizeof(LaunchConfig) == 56, "as in cuda.h");

// Launches are one after the other here, whether they may begin early or not.
CALL(cuLaunchKernelEx)(const LaunchConfig* c, Function* f, void** parameters, void** extra) {
  BEGIN(true);
  if (state.level < 90 || c->count != 1 || c->attributes->id != 6 || c->attributes->value != 1) return invalidValue;
  return cuLaunchKernel(f, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->sharedBytes, c->stream, parameters, extra);
}

CALL(cuStreamBeginCapture_v2)(Stream* stream, int) {
  BEGIN(true);
  if (!current->streams.count(stream) || stream->capture) return invalidValue;
  stream->capture = std::make_unique<Graph>();
  return success;
}
CALL(cuStreamEndCapture)(Stream* stream, Graph** graph) {
  BEGIN(true);
  if (!current->streams.count(stream) || !stream->capture) return invalidValue;
  *graph = stream->capture.get();
  current->graphs[*graph] = std::move(stream->capture);
  return success;
}
CALL(cuGraphInstantiateWithFlags)(Graph** executable, Graph* graph, unsigned long long) {
  BEGIN(true);
  if (!current->graphs.count(graph)) return invalidHandle;
  auto e = std::make_unique<Graph>(*graph);
  *executable = e.get();
  current->executables[*executable] = std::move(e);
  return success;
}
CALL(cuGraphDestroy)(Graph* graph) {
  BEGIN(true);
  return done(__func__, current->graphs.erase(graph) ? success : invalidHandle);
}
CALL(cuGraphExecDestroy)(Graph* executable) {
  BEGIN(true);
  if (int code = run_all(current)) return code;
  return done(__func__, current->executables.erase(executable) ? success : invalidHandle);
}
CALL(cuGraphLaunch)(Graph* executable, Stream* stream) {
  BEGIN(true);
  if (!current->executables.count(executable)) return invalidHandle;
  state.graphLaunches++;
  return add(stream, [=] {
    for (auto& node : executable->nodes)
      if (int code = node()) return code;
    return int(success);
  });
}

CALL(cuEventCreate)(Event** event, unsigned) {
  BEGIN(true);
  auto e = std::make_unique<Event>();
  *event = e.get();
  current->events[*event] = std::move(e);
  return success;
}
CALL(cuEventDestroy_v2)(Event* event) {
  BEGIN(true);
  if (int code = run_all(current)) return code;
  return done(__func__, current->events.erase(event) ? success : invalidHandle);
}
CALL(cuEventRecord)(Event* event, Stream* stream) {
  BEGIN(true);
  if (!current->events.count(event)) return invalidHandle;
  return add(stream, [=] {
    event->at = Clock::now(), event->reached = true;
    return int(success);
  });
}
CALL(cuEventElapsedTime)(float* milliseconds, Event* start, Event* end) {
  BEGIN(true);
  if (!current->events.count(start) || !current->events.count(end)) return invalidHandle;
  if (!start->reached || !end->reached) return notReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
  return success;
}

// What tests ask beside the driver's interface.

// New settings; counts begin anew. Contexts stay.
extern "C" __attribute__((visibility("default"))) void fake_configure(const char* settings) {
  std::lock_guard<std::recursive_mutex> hold(state.mutex);
  state.configure(settings);
}
// Counts as JSON: what lives, what leaked, calls by name. Returns the bytes that it wrote, at most length.
extern "C" __attribute__((visibility("default"))) size_t fake_report(char* to, size_t length) {
  std::lock_guard<std::recursive_mutex> hold(state.mutex);
  std::string text = state.report();
  size_t n = std::min(length, text.size());
  memcpy(to, text.data(), n);
  return n;
}
// What went wrong last, in words.
extern "C" __attribute__((visibility("default"))) size_t fake_message(char* to, size_t length) {
  std::lock_guard<std::recursive_mutex> hold(state.mutex);
  size_t n = std::min(length, state.message.size());
  memcpy(to, state.message.data(), n);
  return n;
}
