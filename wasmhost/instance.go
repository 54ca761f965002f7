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
	ctx    context.Context
	m      *Module
	mod    api.Module
	memory api.Memory
	linear *linearMemory
	fuel   api.MutableGlobal
	stack  api.MutableGlobal
	used   api.MutableGlobal // counts the reference's gas; nil in formats that do not

	gasMax, gasGranted uint64
	memoryBytesMax     uint64
	growthRefused      bool

	clock      clock
	random     *randomStream
	inferencer Inferencer
	files      files
	tempRet    uint32 // the upper half of a 64-bit result, in early formats
	zoneKnown  bool   // early formats write the time zone once
	async      asyncify
	invokes    []map[string]api.Function // what protected calls call, by nesting depth; one call engine cannot nest
	depth      int
}

type evaluationKey struct{}

func evaluationOf(ctx context.Context) *evaluation { return ctx.Value(evaluationKey{}).(*evaluation) }

func newEvaluation(ctx context.Context, m *Module, c Call) *evaluation {
	e := &evaluation{m: m, gasMax: c.GasMax, memoryBytesMax: c.MemoryBytesMax, inferencer: c.Inferencer,
		clock: clock{clockStart}, random: newRandomStream(c.Message), files: newFiles()}
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

// image is a memory taken apart: the linear memory and what the trailer says. A nil memory is a cold start.
type image struct {
	memory  []byte
	globals []uint64
}

// start makes the instance: with memory nil as the module defines it, otherwise as the image says.
func (e *evaluation) start(memory []byte) (image, error) {
	img := image{memory: memory}
	if memory != nil && !e.m.emscripten {
		var err error
		img.memory, img.globals, e.clock.now, err = splitTrailer(memory, len(e.m.globals))
		if err != nil {
			return img, err
		}
	}
	if n := len(img.memory); memory != nil && (n%pageBytes != 0 || n < int(e.m.pagesMin)*pageBytes) {
		return img, fmt.Errorf("%w: %d bytes; whole pages and at least %d are needed", ErrBadMemory, n,
			int(e.m.pagesMin)*pageBytes)
	}
	need := max(uint64(e.m.pagesMin)*pageBytes, uint64(len(img.memory)))
	if need > e.memoryBytesMax {
		return img, &Fault{MemoryLimit, fmt.Sprintf("module needs %d bytes; the limit is %d", need, e.memoryBytesMax)}
	}
	e.linear = restoreMemory(e, img.memory, e.memoryBytesMax)
	ctx := experimental.WithMemoryAllocator(e.ctx, e.linear)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	mod, err := e.m.runtime.InstantiateModule(ctx, e.m.compiled, config)
	if err != nil {
		// Nothing runs here: what is left to go wrong is a segment of the module that does not fit.
		return img, &Fault{Trap, "instantiate: " + innermost(err).Error()}
	}
	e.mod, e.memory = mod, mod.Memory()
	e.fuel = mod.ExportedGlobal(fuelExport).(api.MutableGlobal)
	e.stack = mod.ExportedGlobal(stackExport).(api.MutableGlobal)
	e.stack.Set(StackBytesMax)
	if e.m.gas == gasByModule || e.m.gas == gasReference {
		e.used = mod.ExportedGlobal(usedExport).(api.MutableGlobal)
	}
	e.gasGranted = min(gasSlice, e.gasMax)
	e.fuel.Set(e.gasGranted)
	return img, nil
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

// call runs an exported function; any failure of it unwinds to protect.
func (e *evaluation) call(name string, params ...uint64) uint64 {
	results, err := e.mod.ExportedFunction(name).Call(e.ctx, params...)
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

// restore completes the linear memory of an instance that was made over the image.
func (e *evaluation) restore(img image) {
	have := int(e.memory.Size())
	if grow := (len(img.memory) - have) / pageBytes; grow > 0 {
		if _, ok := e.memory.Grow(uint32(grow)); !ok {
			panic(&failure{fmt.Errorf("%w: %d bytes are more than its maximum", ErrBadMemory, len(img.memory))})
		}
	}
	// Making the instance wrote the module's data segments over the image.
	end := min(e.m.dataEnd, len(img.memory))
	copy(e.bytes(0, uint32(end)), img.memory[:end])
	for i, g := range e.globals() {
		g.Set(img.globals[i])
	}
}

// snapshot returns the image. The memory's slice is handed over: the instance is not used again.
func (e *evaluation) snapshot() []byte {
	memory := e.linear.buf[:e.memory.Size()]
	if e.m.emscripten {
		return memory
	}
	var values []uint64
	for _, g := range e.globals() {
		v := g.Get()
		if t := g.Type(); t == api.ValueTypeI32 || t == api.ValueTypeF32 {
			v &= math.MaxUint32
		}
		values = append(values, v)
	}
	return appendTrailer(memory, values, e.clock.now)
}

// runPlain follows the convention of HyperBEAM's json-iface: both strings in memory from malloc.
func (e *evaluation) runPlain(c Call, img image) []byte {
	switch {
	case img.memory != nil:
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
