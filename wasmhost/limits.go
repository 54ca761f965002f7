package wasmhost

import "math"

// Limits of what crosses the border between host and module. Those that a process can run into are part of the ABI.
const (
	GasDefault            = 100_000_000_000 // when Call.GasMax is 0: about a minute of one core
	MemoryBytesDefault    = 1 << 30         // when Call.MemoryBytesMax is 0
	MessageBytesMax       = 16 << 20        // message or environment JSON
	ResultBytesMax        = 64 << 20        // the string that handle returns
	InferRequestBytesMax  = 1 << 20         // one inference request
	InferResponseBytesMax = 16 << 20        // one inference response
	OpenFilesMax          = 64              // virtual files open at a time, in one message
	StackBytesMax         = 40_000_000      // frames of calls in progress, as wasmbin measures them
	InvokeDepthMax        = 1000            // nested invoke_* calls (protected calls in Lua)
)

// Gas that the host charges for what it does itself; part of the ABI.
const (
	hostCallGas = 100    // any host call
	inferGas    = 10_000 // an inference request, on top, before it is asked
	byteShift   = 3      // one more for each 8 bytes that the host copies, as memory.copy
	gasSlice    = 1 << 22
	gasHighest  = math.MaxInt64 / 2
)

// refill is called by the module's own code when its fuel is below zero: the slice handed out last is used up. It is
// where an evaluation learns that its gas has run out, or that nobody waits for it any more. That the module
// comes up for air every few milliseconds also lets the garbage collector stop the world.
// The same call is made when the stack counter is below zero.
func (e *evaluation) refill() {
	if int64(e.stack.Get()) < 0 {
		panic(&Fault{Trap, "stack overflow"})
	}
	used := e.gasUsed()
	if used > e.gasMax || e.referenceGas() > e.gasMax {
		panic(&Fault{OutOfGas, "gas limit reached"})
	}
	if err := e.ctx.Err(); err != nil {
		panic(&failure{err})
	}
	slice := min(gasSlice, e.gasMax-used)
	e.gasGranted = used + slice
	e.fuel.Set(slice)
}

// gasUsed is what was executed so far: what was granted less what is left, which may be negative.
func (e *evaluation) gasUsed() uint64 {
	return e.gasGranted - e.fuel.Get()
}

// referenceGas is what the reference would have counted so far, where the format counts that.
func (e *evaluation) referenceGas() uint64 {
	if e.used == nil {
		return 0
	}
	return e.used.Get()
}

// reported is the gas that the format's loader reports.
func (e *evaluation) reported() uint64 {
	switch e.m.gas {
	case gasOwn:
		return e.gasUsed()
	case gasZero:
		return 0
	}
	return e.referenceGas()
}

// charge makes the module pay for work of the host, before the work is done.
func (e *evaluation) charge(gas uint64) {
	left := int64(e.fuel.Get()) - int64(gas)
	e.fuel.Set(uint64(left))
	if left < 0 {
		e.refill()
	}
}

// chargeBytes charges for a copy of n bytes by the host.
func (e *evaluation) chargeBytes(n uint64) { e.charge(n >> byteShift) }
