package wasmhost

import (
	"context"
	"fmt"
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
	moduleGas      = "verbatim gas"
	refillName     = "refill"
	fuelExport     = "verbatim fuel"
	stackExport    = "verbatim stack"
	globalPrefix   = "verbatim global "
)

// hostFunc is the body of a host function. stack holds the parameters and takes the result; the upper half of an i32
// slot is undefined on entry.
type hostFunc func(e *evaluation, stack []uint64)

// hostImport is a host function and its signature.
type hostImport struct {
	sig wasmbin.FuncType
	run hostFunc
}

// sig builds a signature from letters: i is i32, j is i64, f is f32, d is f64.
func sig(params, results string) wasmbin.FuncType {
	return wasmbin.FuncType{Params: letters(params), Results: letters(results)}
}

func letters(s string) []wasmbin.ValueType {
	var out []wasmbin.ValueType
	for _, c := range s {
		switch c {
		case 'i':
			out = append(out, wasmbin.I32)
		case 'j':
			out = append(out, wasmbin.I64)
		case 'f':
			out = append(out, wasmbin.F32)
		case 'd':
			out = append(out, wasmbin.F64)
		}
	}
	return out
}

// resolve finds the host function for each import of bin, or says which imports the host does not offer.
func resolve(bin *wasmbin.Module, format Format) ([]hostImport, error) {
	offered := importsOf(format)
	out := make([]hostImport, len(bin.Imports))
	var unknown []string
	for i, im := range bin.Imports {
		t, _ := bin.Type(uint32(i))
		full := im.Module + "." + im.Name
		h, ok := offered[full]
		if !ok && format == Emscripten4 && im.Module == moduleEnv && strings.HasPrefix(im.Name, "invoke_") {
			h, ok = invokeImport(bin, im.Name)
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
func importsOf(format Format) map[string]hostImport {
	table := map[string]hostImport{
		moduleVerbatim + ".infer": {sig("iiii", "i"), inferImport},
	}
	switch format {
	case Emscripten4:
		addEmscripten(table)
	case Plain:
		addWASI(table)
	}
	return table
}

// instantiateHost puts the module's imports and the refill function into its runtime.
func instantiateHost(ctx context.Context, rt wazero.Runtime, bin *wasmbin.Module, imports []hostImport) error {
	gas := rt.NewHostModuleBuilder(moduleGas)
	refill := func(ctx context.Context, _ api.Module, _ []uint64) { evaluationOf(ctx).refill() }
	gas.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(refill), nil, nil).Export(refillName)
	if _, err := gas.Instantiate(ctx); err != nil {
		return err
	}
	for _, from := range []string{moduleEnv, moduleWASI, moduleVerbatim} {
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
