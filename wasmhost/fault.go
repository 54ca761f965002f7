package wasmhost

import (
	"errors"
	"fmt"
	"runtime"
)

// Kind says how an evaluation went wrong.
type Kind string

// The kinds of faults.
const (
	Trap        Kind = "trap"         // the module did what WebAssembly forbids, or aborted
	OutOfGas    Kind = "out of gas"   // it executed more than Call.GasMax
	MemoryLimit Kind = "memory limit" // it needs more than Call.MemoryBytesMax
	Exit        Kind = "exit"         // it called exit
	BadResult   Kind = "bad result"   // handle returned something that is not a JSON string in its memory
	BadMessage  Kind = "bad message"  // the message or environment is longer than MessageBytesMax
)

// Fault is an outcome: the same module, memory, message, limits and inference answers give it on every machine.
// The kind is part of the outcome; the detail is for people.
type Fault struct {
	Kind   Kind
	Detail string
}

// Error says what happened.
func (f *Fault) Error() string { return fmt.Sprintf("process fault: %s: %s", f.Kind, f.Detail) }

// Is makes errors.Is compare kinds with the Err... values below.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Detail == "" && t.Kind == f.Kind
}

// Values for errors.Is.
var (
	ErrTrap        error = &Fault{Kind: Trap}
	ErrOutOfGas    error = &Fault{Kind: OutOfGas}
	ErrMemoryLimit error = &Fault{Kind: MemoryLimit}
	ErrExit        error = &Fault{Kind: Exit}
	ErrBadResult   error = &Fault{Kind: BadResult}
	ErrBadMessage  error = &Fault{Kind: BadMessage}
)

// Errors of Compile and failures of Handle.
var (
	ErrNoHandle     = errors.New("module has no handle function")
	ErrModule       = errors.New("module cannot be evaluated") // in the chain of all other reasons of the module's own
	ErrImport       = errors.New("module imports what the host does not offer")
	ErrFormat       = errors.New("module format not known")
	ErrBadMemory    = errors.New("memory does not belong to this module")
	ErrNoInferencer = errors.New("process asks for inference and no model is configured")
)

// failure carries an error of the host through the module's frames.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// longjmp unwinds to the nearest invoke_*.
type longjmp struct{}

func (longjmp) Error() string { return "longjmp" }

// faultOf turns what a call into the module returned into a Fault, or into the error of a failure.
func (e *evaluation) faultOf(err error) error {
	var fault *Fault
	var fail *failure
	var bug runtime.Error
	switch {
	case errors.As(err, &fault):
	case errors.As(err, &fail):
		return fail.err
	case errors.As(err, &bug):
		return fmt.Errorf("wasmhost: internal error: %w", err)
	case errors.As(err, new(longjmp)):
		fault = &Fault{Trap, "longjmp without a target"}
	default:
		text, ok := trapText(innermost(err).Error())
		if !ok {
			return fmt.Errorf("evaluate: %w", err)
		}
		fault = &Fault{Trap, text}
	}
	if e.growthRefused && (fault.Kind == Trap || fault.Kind == Exit) {
		// The module asked for memory it may not have and then gave up: the limit is the cause.
		return &Fault{MemoryLimit, fmt.Sprintf("more memory refused (the limit is %d bytes), then %s: %s",
			e.memoryBytesMax, fault.Kind, fault.Detail)}
	}
	return fault
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// trapText lists the traps. The engine keeps its error values in an internal package, so their text is all there is
// to tell a trap from an engine failure; an unknown text is a failure, never an outcome. The engine's own "stack overflow"
// is not listed: it depends on the machine code, and the stack counter ends an evaluation long before.
func trapText(engine string) (string, bool) {
	switch engine {
	case "invalid conversion to integer", "integer overflow", "integer divide by zero",
		"unreachable", "out of bounds memory access", "invalid table access", "indirect call type mismatch",
		"null reference":
		return engine, true
	}
	return "", false
}
