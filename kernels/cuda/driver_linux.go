//go:build linux && (amd64 || arm64)

package cuda

import (
	"bytes"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// libraryDefault is the driver's library as its installer names it.
const libraryDefault = "libcuda.so.1"

// call is an index of names and of dynamicDriver.functions.
type call int

const (
	cuInit call = iota
	cuDriverGetVersion
	cuGetErrorName
	cuDeviceGetCount
	cuDeviceGet
	cuDeviceGetName
	cuDeviceGetAttribute
	cuDevicePrimaryCtxRetain
	cuDevicePrimaryCtxRelease
	cuCtxSetCurrent
	cuMemGetInfo
	cuMemAlloc
	cuMemFree
	cuMemHostAlloc
	cuMemFreeHost
	cuStreamCreate
	cuStreamDestroy
	cuStreamSynchronize
	cuMemcpyHtoDAsync
	cuMemcpyDtoHAsync
	cuMemcpyDtoDAsync
	cuMemsetD8Async
	cuModuleLoadDataEx
	cuModuleUnload
	cuModuleGetFunction
	cuFuncSetAttribute
	cuLaunchKernel
	cuLaunchKernelEx
	cuStreamBeginCapture
	cuStreamEndCapture
	cuGraphInstantiate
	cuGraphDestroy
	cuGraphExecDestroy
	cuGraphLaunch
	cuEventCreate
	cuEventDestroy
	cuEventRecord
	cuEventElapsedTime
	calls
)

// symbols are the names in the library of the version of each call that this package uses.
func symbols() [calls]string {
	return [calls]string{
		"cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName",
		"cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2", "cuCtxSetCurrent",
		"cuMemGetInfo_v2", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemHostAlloc", "cuMemFreeHost", "cuStreamCreate",
		"cuStreamDestroy_v2", "cuStreamSynchronize", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyDtoDAsync_v2",
		"cuMemsetD8Async", "cuModuleLoadDataEx", "cuModuleUnload", "cuModuleGetFunction", "cuFuncSetAttribute", "cuLaunchKernel",
		"cuLaunchKernelEx",
		"cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphDestroy", "cuGraphExecDestroy",
		"cuGraphLaunch", "cuEventCreate", "cuEventDestroy_v2", "cuEventRecord", "cuEventElapsedTime",
	}
}

// dynamicDriver calls the library that was loaded. Arguments, and what comes back through pointers, lie in one block that every
// call uses again, so that a launch allocates nothing; a dynamicDriver serves one call at a time. The block is on the heap, where
// nothing moves, and lives as long as the dynamicDriver.
type dynamicDriver struct {
	functions [calls]uintptr
	names     [calls]string
	block     *block
}

// block is what the driver reads and writes while it works.
type block struct {
	args    [11]uintptr
	params  [1]unsafe.Pointer // of a launch
	config  launchConfig
	early   launchAttribute
	number  int32
	handle  uint64
	sizes   [2]uint64
	float   float32
	pointer unsafe.Pointer
	name    [256]byte
	options [2]int32 // of a module
	values  [2]uintptr
	log     [4096]byte
}

// openLibrary loads a library. The loader keeps its error text per thread, so the thread stays the same until it is read.
func openLibrary(name string) (uintptr, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// openDynamic loads the library and starts the driver, which needs a card.
func openDynamic(library string) (*dynamicDriver, error) {
	if library == "" {
		library = libraryDefault
	}
	handle, err := openLibrary(library)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", ErrNoDriver, err)
	}
	d := &dynamicDriver{names: symbols(), block: &block{}}
	for i, name := range d.names {
		if d.functions[i], err = purego.Dlsym(handle, name); err != nil {
			return nil, fmt.Errorf("%w: it has no %s", ErrOldDriver, name)
		}
	}
	if err := d.do(cuInit, 0); err != nil {
		return nil, err
	}
	version, err := d.version()
	if err != nil {
		return nil, err
	}
	if version < versionMin {
		return nil, fmt.Errorf("%w: it is for CUDA %s", ErrOldDriver, versionText(version))
	}
	return d, nil
}

// do makes one call.
func (d *dynamicDriver) do(c call, args ...uintptr) error {
	n := copy(d.block.args[:], args)
	code, _, _ := purego.SyscallN(d.functions[c], d.block.args[:n]...)
	runtime.KeepAlive(d)
	if int32(code) == 0 {
		return nil
	}
	return d.refused(c, int(int32(code)))
}

// refused describes an error code in the driver's words.
func (d *dynamicDriver) refused(c call, code int) error {
	d.block.args[0], d.block.args[1] = uintptr(code), uintptr(unsafe.Pointer(&d.block.pointer))
	d.block.pointer = nil
	purego.SyscallN(d.functions[cuGetErrorName], d.block.args[:2]...)
	name := "an error that the driver has no name for"
	if p := d.block.pointer; p != nil {
		text := unsafe.Slice((*byte)(p), 128)
		for n := range text {
			if text[n] == 0 {
				name = string(text[:n])
				break
			}
		}
	}
	return &callError{call: d.names[c], code: code, name: name}
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func (d *dynamicDriver) version() (int, error) {
	err := d.do(cuDriverGetVersion, address(&d.block.number))
	return int(d.block.number), err
}

func (d *dynamicDriver) deviceCount() (int, error) {
	err := d.do(cuDeviceGetCount, address(&d.block.number))
	return int(d.block.number), err
}

func (d *dynamicDriver) device(ordinal int) (int, error) {
	err := d.do(cuDeviceGet, address(&d.block.number), uintptr(ordinal))
	return int(d.block.number), err
}

func (d *dynamicDriver) deviceName(device int) (string, error) {
	err := d.do(cuDeviceGetName, address(&d.block.name[0]), uintptr(len(d.block.name)), uintptr(device))
	name, _, _ := bytes.Cut(d.block.name[:], []byte{0})
	return string(name), err
}

func (d *dynamicDriver) deviceAttribute(attribute, device int) (int, error) {
	err := d.do(cuDeviceGetAttribute, address(&d.block.number), uintptr(attribute), uintptr(device))
	return int(d.block.number), err
}

func (d *dynamicDriver) retain(device int) (uint64, error) {
	err := d.do(cuDevicePrimaryCtxRetain, address(&d.block.handle), uintptr(device))
	return d.block.handle, err
}

func (d *dynamicDriver) release(device int) error {
	return d.do(cuDevicePrimaryCtxRelease, uintptr(device))
}

func (d *dynamicDriver) setCurrent(context uint64) error {
	return d.do(cuCtxSetCurrent, uintptr(context))
}

func (d *dynamicDriver) memoryInfo() (free, total int64, err error) {
	err = d.do(cuMemGetInfo, address(&d.block.sizes[0]), address(&d.block.sizes[1]))
	return int64(d.block.sizes[0]), int64(d.block.sizes[1]), err
}

func (d *dynamicDriver) allocate(bytes int) (uint64, error) {
	err := d.do(cuMemAlloc, address(&d.block.handle), uintptr(bytes))
	return d.block.handle, err
}

func (d *dynamicDriver) free(address uint64) error { return d.do(cuMemFree, uintptr(address)) }

func (d *dynamicDriver) hostAllocate(bytes int) (unsafe.Pointer, error) {
	err := d.do(cuMemHostAlloc, address(&d.block.pointer), uintptr(bytes), 0)
	return d.block.pointer, err
}

func (d *dynamicDriver) hostFree(p unsafe.Pointer) error { return d.do(cuMemFreeHost, uintptr(p)) }

// streamNonBlocking keeps a stream apart from the default one: CU_STREAM_NON_BLOCKING.
const streamNonBlocking = 1

func (d *dynamicDriver) streamCreate() (uint64, error) {
	err := d.do(cuStreamCreate, address(&d.block.handle), streamNonBlocking)
	return d.block.handle, err
}

func (d *dynamicDriver) streamDestroy(stream uint64) error {
	return d.do(cuStreamDestroy, uintptr(stream))
}

func (d *dynamicDriver) synchronize(stream uint64) error {
	return d.do(cuStreamSynchronize, uintptr(stream))
}

func (d *dynamicDriver) copyIn(to uint64, from unsafe.Pointer, bytes int, stream uint64) error {
	return d.do(cuMemcpyHtoDAsync, uintptr(to), uintptr(from), uintptr(bytes), uintptr(stream))
}

func (d *dynamicDriver) copyOut(to unsafe.Pointer, from uint64, bytes int, stream uint64) error {
	return d.do(cuMemcpyDtoHAsync, uintptr(to), uintptr(from), uintptr(bytes), uintptr(stream))
}

func (d *dynamicDriver) copyWithin(to, from uint64, bytes int, stream uint64) error {
	return d.do(cuMemcpyDtoDAsync, uintptr(to), uintptr(from), uintptr(bytes), uintptr(stream))
}

func (d *dynamicDriver) fill(address uint64, value byte, bytes int, stream uint64) error {
	return d.do(cuMemsetD8Async, uintptr(address), uintptr(value), uintptr(bytes), uintptr(stream))
}

// Options of cuModuleLoadDataEx, cuda.h's CUjit_option.
const (
	jitErrorLog      = 5
	jitErrorLogBytes = 6
)

// loadModule compiles PTX for the card. The compiler's own words are part of the error.
func (d *dynamicDriver) loadModule(ptx []byte) (uint64, error) {
	defer runtime.KeepAlive(ptx)
	b := d.block
	clear(b.log[:])
	b.options = [2]int32{jitErrorLog, jitErrorLogBytes}
	b.values = [2]uintptr{address(&b.log[0]), uintptr(len(b.log))}
	err := d.do(cuModuleLoadDataEx, address(&b.handle), address(&ptx[0]), 2, address(&b.options[0]), address(&b.values[0]))
	if text, _, _ := bytes.Cut(b.log[:], []byte{0}); err != nil && len(text) > 0 {
		err = fmt.Errorf("%w; its compiler says: %s", err, bytes.TrimSpace(text))
	}
	return b.handle, err
}

func (d *dynamicDriver) unloadModule(module uint64) error {
	return d.do(cuModuleUnload, uintptr(module))
}

func (d *dynamicDriver) function(module uint64, name string) (uint64, error) {
	clear(d.block.name[:])
	copy(d.block.name[:len(d.block.name)-1], name)
	err := d.do(cuModuleGetFunction, address(&d.block.handle), uintptr(module), address(&d.block.name[0]))
	if err != nil {
		err = fmt.Errorf("kernel %s: %w", name, err)
	}
	return d.block.handle, err
}

// functionDynamicSharedMax is CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES.
const functionDynamicSharedMax = 8

func (d *dynamicDriver) setSharedBytesMax(function uint64, bytes int) error {
	return d.do(cuFuncSetAttribute, uintptr(function), functionDynamicSharedMax, uintptr(bytes))
}

// launchConfig is cuda.h's CUlaunchConfig.
type launchConfig struct {
	grid, block [3]uint32
	sharedBytes uint32
	_           uint32
	stream      uint64
	attributes  *launchAttribute
	count       uint32
	_           uint32
}

// launchAttribute is cuda.h's CUlaunchAttribute with a value of one int.
type launchAttribute struct {
	id, _ uint32
	value int32
	_     [60]byte
}

// launchEarly lets a launch begin before the one in front has ended: CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION.
const launchEarly = 6

func (d *dynamicDriver) launch(function uint64, grid [3]uint32, block, sharedBytes uint32, stream uint64, args []uint64, dependent bool) error {
	b := d.block
	b.params[0] = unsafe.Pointer(&args[0])
	if dependent {
		b.early = launchAttribute{id: launchEarly, value: 1}
		b.config = launchConfig{grid: grid, block: [3]uint32{block, 1, 1}, sharedBytes: sharedBytes, stream: stream, attributes: &b.early, count: 1}
		return d.do(cuLaunchKernelEx, address(&b.config), uintptr(function), address(&b.params[0]), 0)
	}
	return d.do(cuLaunchKernel, uintptr(function), uintptr(grid[0]), uintptr(grid[1]), uintptr(grid[2]), uintptr(block), 1, 1,
		uintptr(sharedBytes), uintptr(stream), address(&b.params[0]), 0)
}

// captureThread makes other threads' calls no part of a capture, nor forbidden: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL.
const captureThread = 1

func (d *dynamicDriver) beginCapture(stream uint64) error {
	return d.do(cuStreamBeginCapture, uintptr(stream), captureThread)
}

func (d *dynamicDriver) endCapture(stream uint64) (uint64, error) {
	d.block.handle = 0
	err := d.do(cuStreamEndCapture, uintptr(stream), address(&d.block.handle))
	return d.block.handle, err
}

func (d *dynamicDriver) instantiate(graph uint64) (uint64, error) {
	err := d.do(cuGraphInstantiate, address(&d.block.handle), uintptr(graph), 0)
	return d.block.handle, err
}

func (d *dynamicDriver) destroyGraph(graph uint64) error { return d.do(cuGraphDestroy, uintptr(graph)) }

func (d *dynamicDriver) destroyExecutable(executable uint64) error {
	return d.do(cuGraphExecDestroy, uintptr(executable))
}

func (d *dynamicDriver) launchGraph(executable, stream uint64) error {
	return d.do(cuGraphLaunch, uintptr(executable), uintptr(stream))
}

func (d *dynamicDriver) eventCreate() (uint64, error) {
	err := d.do(cuEventCreate, address(&d.block.handle), 0)
	return d.block.handle, err
}

func (d *dynamicDriver) eventDestroy(event uint64) error { return d.do(cuEventDestroy, uintptr(event)) }

func (d *dynamicDriver) eventRecord(event, stream uint64) error {
	return d.do(cuEventRecord, uintptr(event), uintptr(stream))
}

func (d *dynamicDriver) eventMilliseconds(start, end uint64) (float32, error) {
	err := d.do(cuEventElapsedTime, address(&d.block.float), uintptr(start), uintptr(end))
	return d.block.float, err
}
