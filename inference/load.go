package inference

import "verbatim/kernels"

// Load tells how busy an engine is. Passes, Rows and SetBacks count from the engine's start.
type Load struct {
	Sessions int    // open
	Waiting  int    // of these, how many wait for a pass, or are in one
	Passes   uint64 // evaluations of the model, each for all who waited
	Rows     uint64 // tokens that they evaluated, of prompts and of answers
	SetBacks uint64 // sessions that lost their memory to earlier ones and began anew

	// Of a device's own memory, bytes as of the last pass: what the engine has taken and may take; 0 if there is none.
	MemoryUsed, MemoryBudget int64
}

// Load may be called at any time.
func (e *Engine) Load() Load {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	l := e.load
	l.Waiting = len(e.waiting)
	return l
}

// count changes the load. Whoever calls it has the backend, and not the mutex.
func (e *Engine) count(change func(*Load)) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	change(&e.load)
	e.weigh()
}

// weigh notes how much memory the backend has taken. Whoever calls it has the backend and the mutex.
func (e *Engine) weigh() {
	if b, ok := e.backend.(kernels.Metered); ok {
		e.load.MemoryUsed, e.load.MemoryBudget = b.Memory()
	}
}
