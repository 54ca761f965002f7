package wasmhost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"golang.org/x/text/encoding/unicode"

	"verbatim/wasmhost/wasmbin"
)

// Module is a compiled module. It is safe for concurrent use: each call runs in an instance of its own.
type Module struct {
	format Format
	conventions
	runtime  wazero.Runtime // one per module, because signatures of host functions differ between modules
	compiled wazero.CompiledModule
	pagesMin uint32
	pagesMax uint32
	globals  []wasmbin.ExportedGlobal // mutable globals; in plain modules they belong to the image
	exports  map[string]bool
	dataEnd  int // where the active data segments end; they overwrite a restored memory below this

	onlyMemory bool // an instance can be used again: its state is memory and numeric globals
	store      *store
	pagemap    *os.File               // the host's
	base       *atomic.Pointer[Image] // that other images share pages with; see Share

	running    runningForm
	twoForms   atomic.Bool // it has that form, or may get it
	cannotWait bool        // it is such a form itself
}

// Format is the module's format, as given or detected.
func (m *Module) Format() Format { return m.format }

// Compile checks and compiles a module. With format "", it is detected from the imports and exports.
// Errors of the module itself have ErrNoHandle, ErrImport, ErrFormat or ErrModule in their chain.
func (h *Host) Compile(ctx context.Context, wasm []byte, format Format) (*Module, error) {
	bin, err := wasmbin.Decode(wasm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	if format == "" {
		format = detect(bin)
	}
	conv, ok := conventionsOf(format)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrFormat, format)
	}
	if conv.noFiles {
		expandNames(bin)
	}
	if conv.wide != bin.Wide() {
		return nil, fmt.Errorf("%w: format %s and a memory with 64-bit addresses: %v", ErrModule, format, bin.Wide())
	}
	if err := conv.checkExports(bin, format); err != nil {
		return nil, err
	}
	imports, err := conv.resolve(bin, format)
	if err != nil {
		return nil, err
	}
	names := wasmbin.Names{RefillModule: moduleGas, RefillName: refillName, Fuel: fuelExport, Stack: stackExport,
		GlobalPrefix: globalPrefix}
	if conv.gas == gasByModule || conv.gas == gasReference {
		names.Used, names.Reference = usedExport, conv.gas == gasReference
	}
	metered, globals, err := wasmbin.Instrument(bin, names)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	m := &Module{format: format, conventions: conv, pagesMin: bin.Memory.Min, pagesMax: pagesMax(bin), exports: map[string]bool{},
		dataEnd: bin.DataEnd(), store: &h.store, pagemap: h.pagemap, base: new(atomic.Pointer[Image]), onlyMemory: !bin.ChangesTables()}
	if len(globals) > globalsMax && !conv.emscripten {
		return nil, fmt.Errorf("%w: %d mutable globals, limit %d", ErrModule, len(globals), globalsMax)
	}
	for _, g := range globals {
		numeric := g.Type != wasmbin.V128 && g.Type != wasmbin.FuncRef && g.Type != wasmbin.ExternRef
		switch {
		case numeric:
			m.globals = append(m.globals, g)
		case !conv.emscripten:
			return nil, fmt.Errorf("%w: a mutable global of type %v cannot be kept", ErrModule, g.Type)
		default:
			m.onlyMemory = false
		}
	}
	for _, e := range bin.Exports { // with the names that minified modules got
		m.exports[e.Name] = e.Kind == wasmbin.KindFunc
	}
	if err := h.build(ctx, m, bin, imports, metered); err != nil {
		return nil, err
	}
	m.prepareRunning(bin, names)
	return m, nil
}

// build compiles the metered binary in a runtime of its own.
func (h *Host) build(ctx context.Context, m *Module, bin *wasmbin.Module, imports []hostImport, metered []byte) error {
	plain := wazero.NewRuntimeConfig().WithCoreFeatures(api.CoreFeaturesV2)
	err := m.compile(ctx, plain.WithCompilationCache(h.cache), bin, imports, metered)
	if errors.As(err, new(*fs.PathError)) {
		// The disk failed that keeps compiled code. This says nothing about the module.
		err = m.compile(ctx, plain, bin, imports, metered)
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.modules = append(h.modules, m)
	return nil
}

func (m *Module) compile(ctx context.Context, config wazero.RuntimeConfig, bin *wasmbin.Module, imports []hostImport, metered []byte) error {
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	err := instantiateHost(ctx, m.runtime, bin, imports)
	if err == nil {
		if m.compiled, err = m.runtime.CompileModule(ctx, metered); err != nil {
			err = fmt.Errorf("%w: %w", ErrModule, err)
		}
	}
	if err != nil {
		return errors.Join(err, m.runtime.Close(ctx))
	}
	return nil
}

// pagesMax is the largest memory that the module may have.
func pagesMax(bin *wasmbin.Module) uint32 {
	if bin.Memory.HasMax {
		return min(bin.Memory.Max, pagesHighest)
	}
	return pagesHighest
}

// Close releases the module's code. No call of Handle may be running.
func (m *Module) Close(ctx context.Context) error {
	m.store.forget(m)
	m.running.once.Do(func() {})
	if m.running.module != nil {
		m.store.forget(m.running.module)
	}
	return m.runtime.Close(ctx)
}

// checkExports makes sure that the module has what the host calls, with the right signatures.
func (c conventions) checkExports(bin *wasmbin.Module, format Format) error {
	handle, ok := bin.ExportOf("handle")
	if t, _ := bin.Type(handle.Index); !ok || handle.Kind != wasmbin.KindFunc || !t.Equal(c.sig("pp", "p")) {
		return fmt.Errorf("%w: export %q of type %v is missing", ErrNoHandle, "handle", c.sig("pp", "p"))
	}
	memory, ok := bin.ExportOf("memory")
	if !ok || memory.Kind != wasmbin.KindMemory || bin.Memory == nil {
		return fmt.Errorf("%w: no memory is exported as \"memory\"", ErrModule)
	}
	for _, want := range c.neededExports(bin) {
		e, ok := bin.ExportOf(want.name)
		if t, _ := bin.Type(e.Index); !ok || e.Kind != wasmbin.KindFunc || !t.Equal(want.sig) {
			return fmt.Errorf("%w: format %s needs the export %q of type %v", ErrModule, format, want.name, want.sig)
		}
	}
	return nil
}

type exportedFunction struct {
	name string
	sig  wasmbin.FuncType
}

// neededExports lists the functions the host will call, given the format and the imports.
func (c conventions) neededExports(bin *wasmbin.Module) []exportedFunction {
	var need []exportedFunction
	if !c.early || c.time32 {
		need = append(need, exportedFunction{"malloc", c.sig("p", "p")})
	}
	if !c.emscripten {
		return append(need, c.optionalExports(bin)...)
	}
	add := func(name, params, results string) {
		need = append(need, exportedFunction{name, c.sig(params, results)})
	}
	add("__wasm_call_ctors", "", "")
	add(c.stackSave, "", "p")
	add(c.stackAlloc, "p", "p")
	add(c.stackRestore, "p", "")
	if !c.noFiles {
		add("emscripten_stack_init", "", "")
		add("emscripten_stack_get_end", "", "p")
	}
	if c.main != mainNever {
		add("main", "ii", "i")
	}
	for _, im := range bin.Imports {
		switch {
		case im.Module == moduleVerbatim:
			add("malloc", "p", "p")
		case strings.HasPrefix(im.Name, "invoke_"):
			add("setThrew", "pi", "")
		case im.Name == "system" && c.early:
			add("__errno_location", "", "i")
		case im.Name == "_mktime_js" && !c.wide && !c.time32:
			add(c.setTempRet, "i", "")
		case strings.HasPrefix(im.Name, "__asyncjs__"):
			add("free", "p", "")
			add("asyncify_start_unwind", "p", "")
			add("asyncify_stop_unwind", "", "")
			add("asyncify_start_rewind", "p", "")
			add("asyncify_stop_rewind", "", "")
		}
	}
	return need
}

// optionalExports are those a plain module may lack, but not have with another type.
func (c conventions) optionalExports(bin *wasmbin.Module) []exportedFunction {
	var out []exportedFunction
	for _, f := range []exportedFunction{{"free", c.sig("p", "")}, {"_initialize", c.sig("", "")}} {
		if _, ok := bin.ExportOf(f.name); ok {
			out = append(out, f)
		}
	}
	return out
}

// Inferencer answers a module's inference requests: live engine, transcript feed, recompute, or a fake.
type Inferencer interface {
	// Infer takes the request JSON and returns the response JSON. An outcome the process should see (bad request,
	// prompt too long) is a response with an "error" member; a Go error is a failure that aborts the evaluation
	// without a result.
	Infer(ctx context.Context, request []byte) (response []byte, err error)
}

// Call is one message for a module. Handle does not keep or change the slices.
type Call struct {
	Memory         []byte     // image after the message before; nil: cold start
	Message        []byte     // JSON
	Env            []byte     // JSON
	Inferencer     Inferencer // nil: a process that asks for inference cannot be evaluated
	Drive          Drive      // nil: there is none, and no file of it
	GasMax         uint64     // 0: GasDefault; also for the reference's gas, where the format counts it
	MemoryBytesMax uint64     // 0: MemoryBytesDefault
	Discard        bool       // nobody wants the memory afterwards: HandleImage gives back the image that it got
}

// Return is what came out.
type Return struct {
	Response []byte // the JSON that handle returned
	Memory   []byte // image to hand to the next Call; for emscripten modules the whole linear memory
	Gas      uint64 // set after a Fault as well
	Image    *Image // the same, from HandleImage
	Reported uint64 // gas used as the format's loader reports it: 0 for published formats without metering
}

// Handle evaluates one message. The error is a *Fault when the module failed, and anything else (context ended,
// inferencer failed, memory of another module) when the host could not evaluate it.
func (m *Module) Handle(ctx context.Context, c Call) (Return, error) {
	if err := checkCall(ctx, c); err != nil {
		return Return{}, err
	}
	e := newEvaluation(ctx, m, c)
	image, linear, err := e.start(c.Memory)
	if err != nil {
		return Return{}, err
	}
	defer e.close()
	var response []byte
	run := func() { response = e.run(c, image) }
	if err := e.protect(run); err != nil {
		return Return{Gas: e.gasUsed(), Reported: e.reported()}, err
	}
	// The memory's slice is handed over: the instance is not used again.
	memory := append(linear.buf[:e.memory.Size()], e.tail()...)
	return Return{Response: response, Memory: memory, Gas: e.gasUsed(), Reported: e.reported()}, nil
}

// checkCall refuses calls that nothing needs to run for.
func checkCall(ctx context.Context, c Call) error {
	if len(c.Message) > MessageBytesMax || len(c.Env) > MessageBytesMax {
		return &Fault{BadMessage, fmt.Sprintf("message of %d and environment of %d bytes; the limit is %d",
			len(c.Message), len(c.Env), MessageBytesMax)}
	}
	return ctx.Err()
}

// result reads the string that handle returned. Invalid UTF-8 becomes U+FFFD as in the reference loader (WHATWG).
func (e *evaluation) result(ptr uint32) []byte {
	raw, ok := e.cString(ptr, ResultBytesMax)
	if !ok {
		panic(&Fault{BadResult, fmt.Sprintf("no string of at most %d bytes at %d", ResultBytesMax, ptr)})
	}
	e.chargeBytes(uint64(len(raw)))
	text, err := unicode.UTF8.NewDecoder().Bytes(raw)
	if err != nil || !json.Valid(text) {
		panic(&Fault{BadResult, fmt.Sprintf("handle returned %d bytes that are not JSON", len(raw))})
	}
	return bytes.Clone(text)
}
