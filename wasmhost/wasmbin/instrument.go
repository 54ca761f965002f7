package wasmbin

import (
	"bytes"
	"fmt"
	"slices"
)

// Costs of gas, part of the ABI: every instruction costs 1 except those that only shape the code
// (block, else, end, nop), which are free. Bulk instructions pay for what they touch on top: table instructions 1 for each
// element, memory instructions 1 for each 8 bytes, rounded down.
const (
	PageGas = 1 << 13 // memory.grow that succeeds: for each page, as for filling it

	bytesGasShift = 3
	pageGasShift  = 13
	leafCostMax   = 100 // a function without calls and loops and at most this cost is not checked on entry
)

// Stack is what a call costs while it lasts, in bytes, part of the ABI: an upper bound of the machine frame of
// any compiler that keeps each value in at most one slot, so that every machine runs out at the same call.
const (
	frameFixed    = 128
	slotBytes     = 8 // for each parameter, local and instruction
	slotBytesSIMD = 16
	leafFrameMax  = 1 << 20 // a function without calls and at most this frame is not counted
)

// Names says what Instrument calls the things it adds.
type Names struct {
	RefillModule, RefillName string // the imported function, ()->(), called when fuel or stack is below zero
	Fuel                     string // the exported mutable i64 global that counts instructions down
	Stack                    string // the exported mutable i64 global that counts down what calls in progress take
	GlobalPrefix             string // if not empty, mutable global i is exported as GlobalPrefix + its number

	// If Used is not empty, an exported mutable i64 global of that name counts what the reference loader calls gas: what
	// the module itself says in calls of the import metering.usegas, or, with Reference, what the reference's
	// instrumentation would say; see reference.go.
	Used      string
	Reference bool

	Running bool // take it that the module's asyncify state stays 0; see running.go
}

// ExportedGlobal is a mutable global of the original module, exported under a new name.
type ExportedGlobal struct {
	Name string
	Type ValueType
}

// Instrument returns the module with metering added, and the mutable globals it exported.
//
// The added function import comes last among the imports, so the indices of defined functions move by one:
// calls, function references, element segments and exports are rewritten. The added globals and types come last, so none
// moves. Table slots, exports and memory layout stay what they were.
//
// The straight-line code between two branch points is charged in one step when it is entered. The fuel may go below
// zero; it is checked at the head of every loop, at the entry of every function (except small ones without calls and
// loops), and before every bulk instruction.
//
// A function that calls takes its frame off the stack counter on entry and gives it back at its end. Its body becomes a
// block, so that every way out passes there; what leaves by a trap or by the host must be put right by the host.
//
// A 64-bit memory becomes a 32-bit one; see memory64.go. Gas counts the instructions of the original.
//
// Float instructions whose NaN the standard leaves open are followed by code that decides it; see nan.go.
func Instrument(m *Module, names Names) ([]byte, []ExportedGlobal, error) {
	if m.HasStart {
		return nil, nil, fmt.Errorf("%w: start section; export _initialize instead", ErrUnsupported)
	}
	w := newRewriter(m, names)
	if names.Running {
		if w.state, w.running = m.AsyncState(); !w.running {
			return nil, nil, fmt.Errorf("%w: no state of asyncify that only the host changes", ErrUnsupported)
		}
	}
	exports, globals, err := w.exports(names)
	if err != nil {
		return nil, nil, err
	}
	code, err := w.code() // first: it adds types
	if err != nil {
		return nil, nil, err
	}
	out := append([]byte(nil), header[:]...)
	out = section(out, secType, w.types())
	out = section(out, secImport, w.imports(names))
	out = section(out, secFunction, w.functions())
	out = section(out, secTable, w.tables())
	out = section(out, secMemory, w.memory())
	body, err := w.globals()
	if err != nil {
		return nil, nil, err
	}
	out = section(out, secGlobal, body)
	out = section(out, secExport, exports)
	if body, err = w.elements(); err != nil {
		return nil, nil, err
	}
	out = section(out, secElement, body)
	out = section(out, secDataCount, m.DataCount)
	out = section(out, secCode, code)
	body = m.Data
	if m.Wide() {
		if body, err = m.narrowData(); err != nil {
			return nil, nil, err
		}
	}
	return section(out, secData, body), globals, nil
}

// section appends a section, or nothing when its body is nil.
func section(out []byte, id byte, body []byte) []byte {
	if body == nil {
		return out
	}
	return append(appendU32(append(out, id), uint32(len(body))), body...)
}

type rewriter struct {
	m                         *Module
	refill, fuel, stack, used uint32     // indices of the added function and globals
	added                     []FuncType // types of the blocks around bodies with several results
	counts, reference         bool       // the global used exists, and is ours to count up
	usegas                    int        // the function by which the module counts itself, or -1
	running                   bool       // the global state is always 0
	state                     uint32

	// Room that one function leaves to the next.
	out, segment []byte
	steps        []step
}

func newRewriter(m *Module, names Names) *rewriter {
	first := uint32(len(m.Globals))
	w := &rewriter{m: m, refill: uint32(len(m.Imports)), fuel: first, stack: first + 1, used: first + 2,
		counts: names.Used != "", reference: names.Reference, usegas: -1}
	for i, im := range m.Imports {
		t, _ := m.Type(uint32(i))
		if w.counts && !w.reference && im.Module == usegasModule && im.Name == usegasName && t.Equal(usegasType()) {
			w.usegas = i
		}
	}
	return w
}

// move maps a function index of the original to one of the result.
func (w *rewriter) move(i uint32) uint32 {
	if i >= w.refill {
		return i + 1
	}
	return i
}

func (w *rewriter) types() []byte {
	all := append(slices.Clone(w.m.Types), FuncType{}) // the last but the added ones: that of refill
	all = append(all, w.added...)
	out := appendU32(nil, uint32(len(all)))
	for _, t := range all {
		out = append(out, typeFunc)
		out = append(appendU32(out, uint32(len(t.Params))), valueBytes(t.Params)...)
		out = append(appendU32(out, uint32(len(t.Results))), valueBytes(t.Results)...)
	}
	return out
}

// blockType encodes the type of a block without parameters and with these results.
func (w *rewriter) blockType(results []ValueType) []byte {
	switch len(results) {
	case 0:
		return []byte{blockTypeVoid}
	case 1:
		return []byte{byte(results[0])}
	}
	t := FuncType{Results: results}
	at := slices.IndexFunc(w.added, t.Equal)
	if at < 0 {
		at = len(w.added)
		w.added = append(w.added, t)
	}
	return appendI64(nil, int64(len(w.m.Types)+1+at))
}

func (w *rewriter) imports(names Names) []byte {
	out := appendU32(nil, uint32(len(w.m.Imports)+1))
	all := append(slices.Clone(w.m.Imports), Import{names.RefillModule, names.RefillName, uint32(len(w.m.Types))})
	for _, im := range all {
		out = appendName(appendName(out, im.Module), im.Name)
		out = appendU32(append(out, byte(KindFunc)), im.TypeIndex)
	}
	return out
}

func (w *rewriter) functions() []byte {
	out := appendU32(nil, uint32(len(w.m.Functions)))
	for _, t := range w.m.Functions {
		out = appendU32(out, t)
	}
	return out
}

func (w *rewriter) tables() []byte {
	if w.m.Tables == nil {
		return nil
	}
	out := appendU32(nil, uint32(len(w.m.Tables)))
	for _, t := range w.m.Tables {
		if !t.Limits.HasMax || t.Limits.Max > TableElementsMax {
			t.Limits.Max, t.Limits.HasMax = TableElementsMax, true
		}
		out = appendLimits(append(out, byte(t.Type)), t.Limits)
	}
	return out
}

func (w *rewriter) memory() []byte {
	if w.m.Memory == nil {
		return nil
	}
	return appendLimits([]byte{1}, *w.m.Memory)
}

func appendLimits(out []byte, l Limits) []byte {
	if !l.HasMax {
		return appendU32(append(out, 0), l.Min)
	}
	return appendU32(appendU32(append(out, 1), l.Min), l.Max)
}

func (w *rewriter) globals() ([]byte, error) {
	added := 2
	if w.counts {
		added++
	}
	out := appendU32(nil, uint32(len(w.m.Globals)+added))
	for i, g := range w.m.Globals {
		var mutable byte
		if g.Mutable {
			mutable = mutableFlag
		}
		r := &reader{b: g.Init}
		out = appendConstExpr(append(out, byte(g.Type), mutable), r, w.move)
		if r.err != nil {
			return nil, fmt.Errorf("global %d: %w", i, r.err)
		}
	}
	zero := []byte{byte(I64), mutableFlag, opI64Const, 0, opEnd}
	return append(out, bytes.Repeat(zero, added)...), nil
}

func (w *rewriter) exports(names Names) ([]byte, []ExportedGlobal, error) {
	all := slices.Clone(w.m.Exports)
	for i, e := range all {
		if e.Kind == KindFunc {
			all[i].Index = w.move(e.Index)
		}
	}
	added := []Export{{names.Fuel, KindGlobal, w.fuel}, {names.Stack, KindGlobal, w.stack}}
	if w.counts {
		added = append(added, Export{names.Used, KindGlobal, w.used})
	}
	var globals []ExportedGlobal
	for i, g := range w.m.Globals {
		if g.Mutable && names.GlobalPrefix != "" {
			name := fmt.Sprintf("%s%d", names.GlobalPrefix, i)
			added = append(added, Export{Name: name, Kind: KindGlobal, Index: uint32(i)})
			globals = append(globals, ExportedGlobal{name, g.Type})
		}
	}
	for _, a := range added {
		if _, taken := w.m.ExportOf(a.Name); taken {
			return nil, nil, fmt.Errorf("%w: export name %q is reserved", ErrUnsupported, a.Name)
		}
	}
	all = append(all, added...)
	out := appendU32(nil, uint32(len(all)))
	for _, e := range all {
		out = appendU32(append(appendName(out, e.Name), byte(e.Kind)), e.Index)
	}
	return out, globals, nil
}

func (w *rewriter) elements() ([]byte, error) {
	if w.m.Elements == nil {
		return nil, nil
	}
	out := appendU32(nil, uint32(len(w.m.Elements)))
	for i, raw := range w.m.Elements {
		r := &reader{b: raw}
		out = append(out, element(r, w.move, len(raw)+8)...)
		if r.err != nil {
			return nil, fmt.Errorf("element segment %d: %w", i, r.err)
		}
	}
	return out, nil
}

func (w *rewriter) code() ([]byte, error) {
	if w.m.Code == nil {
		return nil, nil
	}
	size := 0
	for _, body := range w.m.Code {
		size += len(body)
	}
	out := appendU32(make([]byte, 0, 3*size), uint32(len(w.m.Code)))
	for i, body := range w.m.Code {
		index := uint32(len(w.m.Imports) + i)
		t, _ := w.m.Type(index)
		metered, err := w.function(body, t)
		if err != nil {
			return nil, fmt.Errorf("function %d: %w", index, err)
		}
		out = append(appendU32(out, uint32(len(metered))), metered...)
	}
	return out, nil
}
