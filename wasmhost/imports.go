package wasmhost

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"verbatim/wasmhost/wasmbin"
)

// The modules that a module may import from, and the names that instrumentation reserves.
const (
	moduleEnv      = "env"
	moduleWASI     = "wasi_snapshot_preview1"
	moduleVerbatim = "verbatim"
	moduleMetering = "metering"
	moduleGas      = "verbatim gas"
	refillName     = "refill"
	fuelExport     = "verbatim fuel"
	stackExport    = "verbatim stack"
	usedExport     = "verbatim used"
	globalPrefix   = "verbatim global "
)

// addressBeyond stands for all addresses above it: no memory reaches it.
const addressBeyond = math.MaxUint32

// hostFunc is the body of a host function. stack holds the parameters and takes the result; the upper half of an i32
// slot is undefined on entry.
type hostFunc func(e *evaluation, stack []uint64)

// hostImport is a host function and its signature.
type hostImport struct {
	sig      wasmbin.FuncType
	pointers []int // parameters that are 64-bit addresses or sizes
	run      hostFunc
}

// hostTable is what a format offers to its modules, by "module.name".
type hostTable struct {
	conventions
	functions map[string]hostImport
}

// add offers a function; its types are letters as in conventions.sig.
func (t hostTable) add(name, params, results string, run hostFunc) {
	t.functions[name] = t.hostImport(params, results, run)
}

func (c conventions) hostImport(params, results string, run hostFunc) hostImport {
	h := hostImport{sig: c.sig(params, results), run: run}
	for i, letter := range params {
		if letter == 'p' && c.wide {
			h.pointers = append(h.pointers, i)
		}
	}
	return h
}

// resolve finds the host function for each import of bin, or says which imports the host does not offer.
func (c conventions) resolve(bin *wasmbin.Module, format Format) ([]hostImport, error) {
	offered := c.importsOf()
	out := make([]hostImport, len(bin.Imports))
	var unknown []string
	for i, im := range bin.Imports {
		t, _ := bin.Type(uint32(i))
		full := im.Module + "." + im.Name
		h, ok := offered[full]
		if !ok && c.emscripten && im.Module == moduleEnv && strings.HasPrefix(im.Name, "invoke_") {
			h, ok = c.invokeImport(bin, im.Name)
		}
		switch {
		case !ok:
			unknown = append(unknown, full)
		case !h.sig.Equal(t):
			unknown = append(unknown, fmt.Sprintf("%s as %v (the host has %v)", full, t, h.sig))
		}
		out[i] = h
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("%w in format %s: %s", ErrImport, format, strings.Join(unknown, ", "))
	}
	return out, nil
}

// importsOf is the table of host functions of a format, by "module.name".
func (c conventions) importsOf() map[string]hostImport {
	table := hostTable{c, map[string]hostImport{}}
	table.add(moduleVerbatim+".infer", "pppp", "i", inferImport)
	switch {
	case c.early:
		addEarly(table)
	case c.emscripten:
		addEmscripten(table)
	default:
		addWASI(table)
	}
	return table.functions
}

// instantiateHost puts the module's imports and the refill function into its runtime.
func instantiateHost(ctx context.Context, rt wazero.Runtime, bin *wasmbin.Module, imports []hostImport) error {
	gas := rt.NewHostModuleBuilder(moduleGas)
	refill := func(ctx context.Context, _ api.Module, _ []uint64) { evaluationOf(ctx).refill() }
	gas.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(refill), nil, nil).Export(refillName)
	if _, err := gas.Instantiate(ctx); err != nil {
		return err
	}
	for _, from := range []string{moduleEnv, moduleWASI, moduleVerbatim, moduleMetering} {
		builder, done := rt.NewHostModuleBuilder(from), map[string]bool{}
		for i, im := range bin.Imports {
			if im.Module == from && !done[im.Name] {
				done[im.Name] = true
				h := imports[i]
				builder.NewFunctionBuilder().WithGoModuleFunction(h.goFunc(), apiTypes(h.sig.Params),
					apiTypes(h.sig.Results)).Export(im.Name)
			}
		}
		if len(done) == 0 {
			continue
		}
		if _, err := builder.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (h hostImport) goFunc() api.GoModuleFunc {
	return func(ctx context.Context, _ api.Module, stack []uint64) {
		e := evaluationOf(ctx)
		e.charge(hostCallGas)
		for _, i := range h.pointers {
			stack[i] = min(stack[i], addressBeyond)
		}
		h.run(e, stack)
	}
}

func apiTypes(ts []wasmbin.ValueType) []api.ValueType {
	out := make([]api.ValueType, len(ts))
	for i, t := range ts {
		out[i] = api.ValueType(t)
	}
	return out
}
