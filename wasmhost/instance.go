package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// evaluation is one call of Handle: one instance and all that its host functions know. It is used by one goroutine.
type evaluation struct {
	ctx context.Context
	m   *Module
	*instance

	gasMax, gasGranted uint64
	memoryBytesMax     uint64
	growthRefused      bool

	clock      clock
	random     *randomStream
	inferencer Inferencer
	files      files
	drive      drive
	tempRet    uint32 // the upper half of a 64-bit result, in early formats
	zoneKnown  bool   // early formats write the time zone once
	async      asyncify
	depth      int // of protected calls
}

type evaluationKey struct{}

func evaluationOf(ctx context.Context) *evaluation { return ctx.Value(evaluationKey{}).(*evaluation) }

func newEvaluation(ctx context.Context, m *Module, c Call) *evaluation {
	e := &evaluation{m: m, gasMax: c.GasMax, memoryBytesMax: c.MemoryBytesMax, inferencer: c.Inferencer,
		clock: clock{clockStart}, random: newRandomStream(c.Message), files: newFiles(), drive: newDrive(c.Drive)}
	if e.gasMax == 0 {
		e.gasMax = GasDefault
	}
	e.gasMax = min(e.gasMax, gasHighest)
	if e.memoryBytesMax == 0 {
		e.memoryBytesMax = MemoryBytesDefault
	}
	e.ctx = context.WithValue(ctx, evaluationKey{}, e)
	return e
}

// image is a memory taken apart: the linear memory and what the trailer says.
type image struct {
	cold    bool
	warm    bool   // the instance's memory holds the image already
	memory  []byte // else
	globals []uint64
}

// start makes the instance: with memory nil as the module defines it, otherwise as the image says.
func (e *evaluation) start(memory []byte) (image, *linearMemory, error) {
	img := image{memory: memory, cold: memory == nil}
	if memory != nil && !e.m.emscripten {
		var err error
		img.memory, img.globals, e.clock.now, err = splitTrailer(memory, len(e.m.globals))
		if err != nil {
			return img, nil, err
		}
	}
	if err := e.checkSize(len(img.memory), img.cold); err != nil {
		return img, nil, err
	}
	linear := restoreMemory(e, img.memory, e.memoryBytesMax)
	inst, err := e.m.instantiate(e, linear)
	if err != nil {
		return img, nil, err
	}
	e.instance = inst
	e.prepare()
	return img, linear, nil
}

// fits checks an image before an instance is made for it.
func (e *evaluation) fits(i *Image) error {
	if i == nil {
		return e.checkSize(0, true)
	}
	if len(i.tail) != e.m.tailBytes() {
		return fmt.Errorf("%w: %d bytes after the linear memory, want %d", ErrBadMemory, len(i.tail), e.m.tailBytes())
	}
	return e.checkSize(i.size, false)
}

// warmImage is the image of an instance that holds it, with what the trailer says.
func (e *evaluation) warmImage(i *Image) image {
	img := image{cold: i == nil, warm: true}
	if i != nil && !e.m.emscripten {
		var err error
		if _, img.globals, e.clock.now, err = splitTrailer(i.tail, len(e.m.globals)); err != nil {
			panic(&failure{err})
		}
	}
	return img
}

// checkSize checks the size of a memory to start from.
func (e *evaluation) checkSize(n int, cold bool) error {
	least := int(e.m.pagesMin) * pageBytes
	if !cold && (n%pageBytes != 0 || n < least) {
		return fmt.Errorf("%w: %d bytes; whole pages and at least %d are needed", ErrBadMemory, n, least)
	}
	if need := uint64(max(least, n)); need > e.memoryBytesMax {
		return &Fault{MemoryLimit, fmt.Sprintf("module needs %d bytes; the limit is %d", need, e.memoryBytesMax)}
	}
	return nil
}

// instantiate makes an instance whose memory the allocator gives.
func (m *Module) instantiate(e *evaluation, memory experimental.MemoryAllocator) (*instance, error) {
	ctx := experimental.WithMemoryAllocator(e.ctx, memory)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := m.runtime.InstantiateModule(ctx, m.compiled, config)
	if err != nil {
		// Nothing runs here: what is left to go wrong is a segment of the module that does not fit.
		return nil, &Fault{Trap, "instantiate: " + innermost(err).Error()}
	}
	inst := &instance{mod: mod, memory: mod.Memory(), calls: map[string]*callable{},
		fuel:  mod.ExportedGlobal(fuelExport).(api.MutableGlobal),
		stack: mod.ExportedGlobal(stackExport).(api.MutableGlobal)}
	if m.gas == gasByModule || m.gas == gasReference {
		inst.used = mod.ExportedGlobal(usedExport).(api.MutableGlobal)
	}
	for _, g := range m.globals {
		inst.globals = append(inst.globals, mod.ExportedGlobal(g.Name).(api.MutableGlobal))
	}
	return inst, nil
}

// prepare sets the counters of the instance.
func (e *evaluation) prepare() {
	e.stack.Set(StackBytesMax)
	e.gasGranted = min(gasSlice, e.gasMax)
	e.fuel.Set(e.gasGranted)
}

func (e *evaluation) close() { _ = e.mod.Close(context.WithoutCancel(e.ctx)) }

// protect runs f and turns panics of host code outside the module into errors as well.
func (e *evaluation) protect(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Fault:
			err = e.faultOf(r)
		case *failure:
			err = r.err
		case callError:
			err = e.faultOf(r.error)
		default:
			panic(r)
		}
	}()
	f()
	if e.gasUsed() > e.gasMax || e.referenceGas() > e.gasMax {
		return &Fault{OutOfGas, "gas limit reached"}
	}
	return nil
}

// callError carries what a call into the module returned, to be classified by the next protect or invoke.
type callError struct{ error }

func (c callError) Unwrap() error { return c.error }

// callable is a function of the module with a call engine, which cannot run twice at a time.
type callable struct {
	f    api.Function
	busy bool
}

// call runs an exported function; any failure of it unwinds to protect.
func (e *evaluation) call(name string, params ...uint64) uint64 {
	c := e.calls[name]
	if c == nil || c.busy {
		c = &callable{f: e.mod.ExportedFunction(name)}
		e.calls[name] = c
	}
	c.busy = true
	results, err := c.f.Call(e.ctx, params...)
	c.busy = false
	if err != nil {
		panic(callError{err})
	}
	if len(results) == 0 {
		return 0
	}
	return results[0]
}

// callPointer calls a function that returns an address.
func (e *evaluation) callPointer(name string, params ...uint64) uint32 {
	if ptr := e.call(name, params...); !e.m.wide {
		return uint32(ptr)
	} else {
		return uint32(min(ptr, addressBeyond))
	}
}

// run restores or starts the module, hands it the message and returns its answer.
func (e *evaluation) run(c Call, img image) []byte {
	if e.m.emscripten {
		return e.runEmscripten(c, img)
	}
	return e.runPlain(c, img)
}

// restore completes the linear memory of an instance that was made over the image, and sets the globals.
func (e *evaluation) restore(img image) {
	for i, v := range img.globals {
		e.instance.globals[i].Set(v)
	}
	if img.warm {
		return
	}
	have := int(e.memory.Size())
	if grow := (len(img.memory) - have) / pageBytes; grow > 0 {
		if _, ok := e.memory.Grow(uint32(grow)); !ok {
			panic(&failure{fmt.Errorf("%w: %d bytes are more than its maximum", ErrBadMemory, len(img.memory))})
		}
	}
	// Making the instance wrote the module's data segments over the image.
	end := min(e.m.dataEnd, len(img.memory))
	copy(e.bytes(0, uint32(end)), img.memory[:end])
}

// tail is what the image has after the linear memory.
func (e *evaluation) tail() []byte {
	if e.m.emscripten {
		return nil
	}
	var values []uint64
	for _, g := range e.instance.globals {
		v := g.Get()
		if t := g.Type(); t == api.ValueTypeI32 || t == api.ValueTypeF32 {
			v &= math.MaxUint32
		}
		values = append(values, v)
	}
	return appendTrailer(nil, values, e.clock.now)
}

// runPlain follows the convention of HyperBEAM's json-iface: both strings in memory from malloc.
func (e *evaluation) runPlain(c Call, img image) []byte {
	switch {
	case !img.cold:
		e.restore(img)
	case e.m.exports["_initialize"]:
		e.call("_initialize")
	}
	message, env := e.mallocString(c.Message), e.mallocString(c.Env)
	out := e.result(e.callPointer("handle", uint64(message), uint64(env)))
	if e.m.exports["free"] {
		e.call("free", uint64(message))
		e.call("free", uint64(env))
	}
	return out
}

// mallocString puts a zero-terminated string into memory of the module's own allocator.
func (e *evaluation) mallocString(s []byte) uint32 {
	e.chargeBytes(uint64(len(s)))
	ptr := e.callPointer("malloc", uint64(len(s)+1))
	if ptr == 0 {
		panic(&Fault{MemoryLimit, fmt.Sprintf("malloc of %d bytes for the message failed", len(s)+1)})
	}
	b := e.bytes(ptr, uint32(len(s)+1))
	copy(b, s)
	b[len(s)] = 0
	return ptr
}

// isLongjmp reports whether a call ended by a longjmp to the nearest invoke.
func isLongjmp(err error) bool { return errors.As(err, new(longjmp)) }
