// Package eval evaluates one message on one process: module, memory, message, environment and the answers of a provider
// of inferences go in; result, memory and the record of the inferences come out.
//
// It is the only way in which this repository evaluates: live evaluation, dry runs, recovery, replay and the offline
// command all call Evaluate and differ only in their Provider.
//
// Invariants: an Outcome is a function of the Step and of the provider's answers, on every machine; what a process does
// wrong is an Outcome, whose memory is that of before; an error means that the machine failed and says nothing about the
// process. The package keeps nothing, fetches nothing and signs nothing.
package eval

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"verbatim/cu/ao"
	"verbatim/wasmhost"
)

// Host compiles modules. It may be used by several goroutines.
type Host struct{ host *wasmhost.Host }

// InstanceBytesDefault is enough for a few hundred processes of common modules.
const InstanceBytesDefault = 1 << 30

// NewHost gives a host that keeps compiled code in the folder cacheDir, or only in memory if that is "". Of instances of
// modules, which wait for the next message of a process and take the memory of that process once more, it keeps those used
// last, in so many bytes.
func NewHost(ctx context.Context, cacheDir string, instanceBytesMax int64) (*Host, error) {
	host, err := wasmhost.New(ctx, wasmhost.Options{CacheDir: cacheDir, InstanceBytesMax: instanceBytesMax})
	return &Host{host}, err
}

// Close releases every module of the host. No evaluation may be running.
func (h *Host) Close(ctx context.Context) error { return h.host.Close(ctx) }

// Kept tells how many instances of modules wait for a message, and about how much memory they take.
func (h *Host) Kept() (instances int, bytes int64) { return h.host.Kept() }

// ErrModule says that a module cannot be evaluated, today or later: it is not wasm, has no handle, or needs what no host
// offers.
var ErrModule = errors.New("the module cannot be evaluated")

// Module is compiled wasm.
type Module struct {
	Digest   [sha256.Size]byte // of the wasm
	Format   string            // as given in the tag Module-Format
	compiled *wasmhost.Module
}

// Compile compiles wasm of a module format; "" detects the format.
func (h *Host) Compile(ctx context.Context, wasm []byte, format string) (*Module, error) {
	compiled, err := h.host.Compile(ctx, wasm, wasmhost.Format(format))
	for _, kind := range [...]error{wasmhost.ErrNoHandle, wasmhost.ErrModule, wasmhost.ErrImport, wasmhost.ErrFormat} {
		if errors.Is(err, kind) {
			return nil, fmt.Errorf("%w: %w", ErrModule, err)
		}
	}
	if err != nil {
		return nil, err
	}
	return &Module{Digest: sha256.Sum256(wasm), Format: string(compiled.Format()), compiled: compiled}, nil
}

// Close releases the module. No evaluation of it may be running.
func (m *Module) Close(ctx context.Context) error { return m.compiled.Close(ctx) }

// Limits bound an evaluation. They are part of what an outcome depends on.
type Limits struct {
	GasMax         uint64
	MemoryBytesMax uint64
}

// referenceGasScale is how much of the reference's gas a unit allows for each of its own: an instruction costs 1 here,
// and 60 on average, at most 100 in ordinary code, there.
const referenceGasScale = 100

// LimitsOf gives the limits that a module's tags (or its process's: see ao.Module.WithProcess) ask for, as far as the
// unit's own limits allow, which also hold where the tags say nothing. Compute-Limit counts in the gas that the module's
// format counts.
func LimitsOf(module ao.Module, unit Limits) Limits {
	gasMax := unit.GasMax
	if wasmhost.Format(module.Format).CountsReferenceGas() && gasMax <= math.MaxUint64/referenceGasScale {
		gasMax *= referenceGasScale
	}
	return Limits{
		GasMax:         lower(uint64(module.ComputeLimit), gasMax),
		MemoryBytesMax: lower(uint64(module.MemoryLimitBytes), unit.MemoryBytesMax),
	}
}

func lower(wanted, unit uint64) uint64 {
	if wanted == 0 {
		return unit
	}
	return min(wanted, unit)
}

// Image is a memory whose versions share their pages, so that a step costs the pages it changes, and keeping the
// memories of many steps costs the pages in which they differ. Its digest costs no more.
type Image = wasmhost.Image

// ImageOf makes an image of the bytes of a memory; nil of none.
func ImageOf(memory []byte) *Image { return wasmhost.ImageOf(memory) }

// Share gives an image that is the same and shares with those of other processes of the module what they have in common.
func (m *Module) Share(image *Image) *Image { return m.compiled.Share(image) }

// SharedBytes is about how much room that takes.
func (m *Module) SharedBytes() int64 { return m.compiled.SharedBytes() }

// Release frees what waits for the next message on a memory.
func (m *Module) Release(ctx context.Context, image *Image) { m.compiled.Release(ctx, image) }

// Step is one evaluation to do. Evaluate does not change what it points to.
type Step struct {
	Module  *Module
	Memory  *Image // after the step before; nil on a cold start
	Message []byte // JSON, first argument of handle
	Env     []byte // JSON, second argument of handle
	Limits  Limits
	DryRun  bool // nobody wants the memory afterwards: the outcome has the step's own
	NoDrive bool // evaluate as before there was a drive: every module finds it empty
}

// Outcome is what a step gave.
type Outcome struct {
	Result     ao.Result
	Memory     *Image // for the next step; the step's own memory if Result has an Error, and of a dry run
	Inferences []Inference
	Reads      []Read
	Gas        uint64
	Fault      string // kind of the fault that ended it; "" if handle returned a result, with or without an Error
	Response   []byte // what handle returned, for whoever wants more of it than Result keeps; nil after a fault
}

// Evaluate does one step. An error is never an outcome: nothing is known about the process, and trying again may help.
func Evaluate(ctx context.Context, step Step, provider Provider) (Outcome, error) {
	env, err := ParseEnv(step.Env)
	if err != nil {
		env = new(Env) // which says nothing; the module may make more of it
	}
	calls := &hostCalls{provider: provider, env: env, message: step.Message}
	defer calls.closeDrive()
	call := wasmhost.Call{
		Message: step.Message, Env: step.Env, Inferencer: calls, GasMax: step.Limits.GasMax, MemoryBytesMax: step.Limits.MemoryBytesMax,
		Discard: step.DryRun,
	}
	if !step.NoDrive && hasDrive(step.Module.Format, calls.env.Module.Tags) {
		call.Drive = calls
	}
	returned, err := step.Module.compiled.HandleImage(ctx, step.Memory, call)
	outcome := Outcome{Memory: step.Memory, Inferences: calls.made, Reads: calls.reads, Gas: returned.Gas}
	var fault *wasmhost.Fault
	switch {
	case errors.As(err, &fault):
		outcome.Fault = string(fault.Kind)
		outcome.Result = ao.FailedText(fault.Error())
	case err != nil:
		return Outcome{}, fmt.Errorf("evaluate: %w", err)
	default:
		result, err := ao.ParseHandle(returned.Response)
		if err != nil {
			// The reason stays out of the result: the wording of a JSON parser is nothing to sign.
			outcome.Fault = string(wasmhost.BadResult)
			result = ao.FailedText("process fault: bad result: handle returned something that is not a result")
		} else {
			outcome.Response = returned.Response
		}
		if result.Error == nil {
			outcome.Memory = returned.Image
		}
		outcome.Result = result
	}
	outcome.Result.GasUsed = int64(returned.Reported) // receipts state the gas of every format
	return outcome, nil
}
