package cuda

import (
	"errors"
	"fmt"
	"runtime"

	"verbatim/kernels"
)

// reserveBytes of a card are left to other programs when no budget was given.
const reserveBytes = 512 << 20

// archMin is the oldest card that the kernels are compiled for.
const archMin = 70

// newBackend takes a card's primary context, which other backends of this program share, and loads the kernels.
func newBackend(d driver, o Options) (*Backend, error) {
	b := &Backend{driver: d, memory: memory{sizes: map[uint64]int64{}}}
	if err := b.openDevice(o.Device); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if err := b.prepare(o); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Backend) openDevice(ordinal int) error {
	if err := b.describe(ordinal); err != nil {
		return err
	}
	var err error
	if b.limits.arch < archMin {
		return fmt.Errorf("card %d, %s, is %s; sm_%d (Volta) or later is needed", ordinal, b.info.Device, b.info.Level, archMin)
	}
	b.context, err = b.driver.retain(b.device)
	return err
}

// describe learns what a card is without using it.
func (b *Backend) describe(ordinal int) error {
	d := b.driver
	count, err := d.deviceCount()
	if err != nil {
		return err
	}
	if ordinal < 0 || ordinal >= count {
		return fmt.Errorf("card %d: this machine has %d", ordinal, count)
	}
	if b.device, err = d.device(ordinal); err != nil {
		return err
	}
	name, err := d.deviceName(b.device)
	if err != nil {
		return err
	}
	values := map[int]int{attributeMajor: 0, attributeMinor: 0, attributeMultiprocessors: 0, attributeSharedBytesMax: 0}
	for attribute := range values {
		if values[attribute], err = d.deviceAttribute(attribute, b.device); err != nil {
			return err
		}
	}
	b.limits = limits{
		arch:            10*values[attributeMajor] + values[attributeMinor],
		multiprocessors: values[attributeMultiprocessors],
		sharedBytesMax:  values[attributeSharedBytesMax],
	}
	b.info = kernels.Info{Name: "cuda", Level: fmt.Sprintf("sm_%d", b.limits.arch), Device: name}
	return nil
}

// prepare makes what every backend has on the card.
func (b *Backend) prepare(o Options) error {
	leave, err := b.enter()
	defer leave()
	if err != nil {
		return err
	}
	if o.Dependent {
		version, err := b.driver.version()
		if err != nil {
			return err
		}
		if b.dependent = b.limits.arch >= dependentArch && version >= dependentVersion; !b.dependent {
			return fmt.Errorf("dependent launches: they need sm_%d and CUDA %s, and this is %s with CUDA %s",
				dependentArch, versionText(dependentVersion), b.info.Level, versionText(version))
		}
	}
	if b.stream, err = b.driver.streamCreate(); err != nil {
		return err
	}
	if b.staging.base, err = b.driver.hostAllocate(stagingBytes); err != nil {
		return err
	}
	b.staging.bytes = stagingBytes
	if err := b.findKernels(); err != nil {
		return err
	}
	free, _, err := b.driver.memoryInfo()
	if err != nil {
		return err
	}
	b.memory.budget = max(0, free-reserveBytes)
	if o.MemoryBytes > 0 {
		b.memory.budget = min(o.MemoryBytes, free)
	}
	return nil
}

// Close frees everything on the card, whatever happened before. No operator may follow; a second Close does nothing.
func (b *Backend) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	var first error
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	try := func(err error) {
		if first == nil && err != nil {
			first = fmt.Errorf("close the cuda backend: %w", err)
		}
	}
	if b.context != 0 {
		try(b.driver.setCurrent(b.context))
		b.closeContents(try)
		try(b.driver.setCurrent(0))
		try(b.driver.release(b.device))
	}
	if b.dead != nil {
		first = b.dead // perhaps nobody was told
	}
	b.dead = ErrClosed
	return first
}

// closeContents frees what lies in the context.
func (b *Backend) closeContents(try func(error)) {
	if b.stream != 0 {
		try(b.driver.synchronize(b.stream))
	}
	for _, g := range b.graphs.kept {
		if g.executable != 0 {
			try(b.driver.destroyExecutable(g.executable))
		}
	}
	for _, event := range b.profile.events {
		try(b.driver.eventDestroy(event))
	}
	for address := range b.memory.sizes {
		try(b.driver.free(address))
	}
	for _, module := range b.modules {
		if module.handle != 0 {
			try(b.driver.unloadModule(module.handle))
		}
	}
	if b.staging.base != nil {
		try(b.driver.hostFree(b.staging.base))
	}
	if b.stream != 0 {
		try(b.driver.streamDestroy(b.stream))
	}
}
