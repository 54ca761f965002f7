//go:build linux && (amd64 || arm64) && gorgonia_cu

package cuda

import (
	"fmt"
	"os"
	"reflect"
	"unsafe"

	"gorgonia.org/cu"
)

// gorgoniaDriver calls the driver through gorgonia.org/cu, and by itself where that package has no such call: pinned memory,
// attributes of functions, captures and launches of graphs, dependent launches. Handles are the same numbers on both ways.
//
// gorgonia.org/cu is linked against libcuda and starts the driver before main. gorgonia/build.sh says how a program with this file
// is built so that it starts without a driver too; the library is then the one that VERBATIM_CUDA_LIBRARY names.
type gorgoniaDriver struct {
	*dynamicDriver
	params []unsafe.Pointer
}

func openDriver(library string) (driver, error) {
	if linked := os.Getenv("VERBATIM_CUDA_LIBRARY"); library != linked && library != "" {
		return nil, fmt.Errorf("a program with gorgonia.org/cu has one driver, %q of VERBATIM_CUDA_LIBRARY, and not %q", linked, library)
	}
	d, err := openDynamic(library)
	if err != nil {
		return nil, err
	}
	return &gorgoniaDriver{dynamicDriver: d}, nil
}

// told gives an error of package cu, which is a number, as the interface wants it.
func (d *gorgoniaDriver) told(c call, err error) error {
	if err == nil {
		return nil
	}
	v := reflect.ValueOf(err)
	if !v.CanInt() {
		return fmt.Errorf("%s: %w", d.names[c], err)
	}
	return d.refused(c, int(v.Int()))
}

func (d *gorgoniaDriver) deviceCount() (int, error) {
	count, err := cu.NumDevices()
	return count, d.told(cuDeviceGetCount, err)
}

func (d *gorgoniaDriver) device(ordinal int) (int, error) {
	device, err := cu.GetDevice(ordinal)
	return int(device), d.told(cuDeviceGet, err)
}

func (d *gorgoniaDriver) deviceName(device int) (string, error) {
	name, err := cu.Device(device).Name()
	return name, d.told(cuDeviceGetName, err)
}

func (d *gorgoniaDriver) deviceAttribute(attribute, device int) (int, error) {
	value, err := cu.Device(device).Attribute(cu.DeviceAttribute(attribute))
	return value, d.told(cuDeviceGetAttribute, err)
}

func (d *gorgoniaDriver) retain(device int) (uint64, error) {
	context, err := cu.Device(device).RetainPrimaryCtx()
	return numberOf(context), d.told(cuDevicePrimaryCtxRetain, err)
}

func (d *gorgoniaDriver) release(device int) error {
	return d.told(cuDevicePrimaryCtxRelease, cu.Device(device).ReleasePrimaryCtx())
}

func (d *gorgoniaDriver) setCurrent(context uint64) error {
	return d.told(cuCtxSetCurrent, cu.SetCurrentContext(handleOf[cu.CUContext](context)))
}

func (d *gorgoniaDriver) memoryInfo() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, d.told(cuMemGetInfo, err)
}

func (d *gorgoniaDriver) allocate(bytes int) (uint64, error) {
	address, err := cu.MemAlloc(int64(bytes))
	return uint64(address), d.told(cuMemAlloc, err)
}

func (d *gorgoniaDriver) free(address uint64) error {
	return d.told(cuMemFree, cu.MemFree(cu.DevicePtr(address)))
}

func (d *gorgoniaDriver) hostFree(p unsafe.Pointer) error {
	return d.told(cuMemFreeHost, cu.MemFreeHost(p))
}

func (d *gorgoniaDriver) streamCreate() (uint64, error) {
	stream, err := cu.MakeStream(cu.NonBlocking)
	return numberOf(stream), d.told(cuStreamCreate, err)
}

func (d *gorgoniaDriver) streamDestroy(stream uint64) error {
	s := handleOf[cu.Stream](stream)
	return d.told(cuStreamDestroy, s.Destroy())
}

func (d *gorgoniaDriver) synchronize(stream uint64) error {
	return d.told(cuStreamSynchronize, handleOf[cu.Stream](stream).Synchronize())
}

func (d *gorgoniaDriver) copyIn(to uint64, from unsafe.Pointer, bytes int, stream uint64) error {
	return d.told(cuMemcpyHtoDAsync, cu.MemcpyHtoDAsync(cu.DevicePtr(to), from, int64(bytes), handleOf[cu.Stream](stream)))
}

func (d *gorgoniaDriver) copyOut(to unsafe.Pointer, from uint64, bytes int, stream uint64) error {
	return d.told(cuMemcpyDtoHAsync, cu.MemcpyDtoHAsync(to, cu.DevicePtr(from), int64(bytes), handleOf[cu.Stream](stream)))
}

func (d *gorgoniaDriver) copyWithin(to, from uint64, bytes int, stream uint64) error {
	return d.told(cuMemcpyDtoDAsync, cu.MemcpyDtoDAsync(cu.DevicePtr(to), cu.DevicePtr(from), int64(bytes), handleOf[cu.Stream](stream)))
}

func (d *gorgoniaDriver) fill(address uint64, value byte, bytes int, stream uint64) error {
	return d.told(cuMemsetD8Async, cu.MemsetD8Async(cu.DevicePtr(address), value, int64(bytes), handleOf[cu.Stream](stream)))
}

func (d *gorgoniaDriver) unloadModule(module uint64) error {
	return d.told(cuModuleUnload, handleOf[cu.Module](module).Unload())
}

func (d *gorgoniaDriver) function(module uint64, name string) (uint64, error) {
	function, err := handleOf[cu.Module](module).Function(name)
	if err = d.told(cuModuleGetFunction, err); err != nil {
		err = fmt.Errorf("kernel %s: %w", name, err)
	}
	return numberOf(function), err
}

// launch gives the arguments 8 bytes at a time: package cu copies so much of every parameter into one block, so that the first
// parameter has the whole struct behind it.
func (d *gorgoniaDriver) launch(function uint64, grid [3]uint32, block, sharedBytes uint32, stream uint64, args []uint64, dependent bool) error {
	if dependent {
		return d.dynamicDriver.launch(function, grid, block, sharedBytes, stream, args, dependent)
	}
	d.params = d.params[:0]
	for i := range args {
		d.params = append(d.params, unsafe.Pointer(&args[i]))
	}
	return d.told(cuLaunchKernel, handleOf[cu.Function](function).Launch(int(grid[0]), int(grid[1]), int(grid[2]), int(block), 1, 1,
		int(sharedBytes), handleOf[cu.Stream](stream), d.params))
}

func (d *gorgoniaDriver) eventCreate() (uint64, error) {
	event, err := cu.MakeEvent(cu.DefaultEvent)
	return numberOf(event), d.told(cuEventCreate, err)
}

func (d *gorgoniaDriver) eventDestroy(event uint64) error {
	e := handleOf[cu.Event](event)
	return d.told(cuEventDestroy, cu.DestroyEvent(&e))
}

func (d *gorgoniaDriver) eventRecord(event, stream uint64) error {
	return d.told(cuEventRecord, handleOf[cu.Event](event).Record(handleOf[cu.Stream](stream)))
}

func (d *gorgoniaDriver) eventMilliseconds(start, end uint64) (float32, error) {
	milliseconds, err := handleOf[cu.Event](start).Elapsed(handleOf[cu.Event](end))
	return float32(milliseconds), d.told(cuEventElapsedTime, err)
}

// handle are types of package cu that hold one pointer of the driver's.
type handle interface {
	cu.CUContext | cu.Stream | cu.Module | cu.Function | cu.Event
}

func numberOf[H handle](h H) uint64 { return uint64(*(*uintptr)(unsafe.Pointer(&h))) }

func handleOf[H handle](number uint64) H {
	p := uintptr(number)
	return *(*H)(unsafe.Pointer(&p))
}
