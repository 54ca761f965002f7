package cuda

import (
	"fmt"
	"unsafe"
)

// driver is what this package uses of the CUDA driver API. Handles and device addresses are plain numbers. Every method is
// one call, and its error a *callError.
type driver interface {
	version() (int, error) // 12040 for CUDA 12.4
	deviceCount() (int, error)
	device(ordinal int) (int, error)
	deviceName(device int) (string, error)
	deviceAttribute(attribute, device int) (int, error)
	retain(device int) (context uint64, err error)
	release(device int) error
	setCurrent(context uint64) error

	memoryInfo() (free, total int64, err error)
	allocate(bytes int) (uint64, error)
	free(address uint64) error
	hostAllocate(bytes int) (unsafe.Pointer, error)
	hostFree(p unsafe.Pointer) error

	streamCreate() (uint64, error)
	streamDestroy(stream uint64) error
	synchronize(stream uint64) error
	copyIn(to uint64, from unsafe.Pointer, bytes int, stream uint64) error
	copyOut(to unsafe.Pointer, from uint64, bytes int, stream uint64) error
	copyWithin(to, from uint64, bytes int, stream uint64) error
	fill(address uint64, value byte, bytes int, stream uint64) error

	loadModule(ptx []byte) (module uint64, err error) // ptx ends with a zero byte
	unloadModule(module uint64) error
	function(module uint64, name string) (uint64, error)
	setSharedBytesMax(function uint64, bytes int) error
	launch(function uint64, grid [3]uint32, block, sharedBytes uint32, stream uint64, args []uint64, dependent bool) error

	beginCapture(stream uint64) error
	endCapture(stream uint64) (graph uint64, err error)
	instantiate(graph uint64) (executable uint64, err error)
	destroyGraph(graph uint64) error
	destroyExecutable(executable uint64) error
	launchGraph(executable, stream uint64) error

	eventCreate() (uint64, error)
	eventDestroy(event uint64) error
	eventRecord(event, stream uint64) error
	eventMilliseconds(start, end uint64) (float32, error)
}

// Attributes of devices, cuda.h's CUdevice_attribute.
const (
	attributeClockRate       = 13 // kHz
	attributeMultiprocessors = 16
	attributeMajor           = 75
	attributeMinor           = 76
	attributeSharedBytesMax  = 97 // of a thread block, opted in
)

// callError is a call that the driver refused.
type callError struct {
	call string
	code int
	name string // CUDA_ERROR_...
}

func (e *callError) Error() string {
	if hint := hint(e.code); hint != "" {
		return fmt.Sprintf("%s: %s (%d): %s", e.call, e.name, e.code, hint)
	}
	return fmt.Sprintf("%s: %s (%d)", e.call, e.name, e.code)
}
