package cu

import (
	"context"
	"crypto/sha256"
	"sync"

	"verbatim/cu/ao"
)

// answers remembers results of dry runs, and joins those who ask the same at a time. A result depends on nothing but its
// key, so it is never out of date: a process that has moved on is asked under another key.
type answers struct {
	mu      sync.Mutex
	known   map[answerKey]ao.Result
	bytes   int
	running map[answerKey]*answering
}

type answerKey struct {
	process ao.ID
	steps   int64
	message [sha256.Size]byte
}

// answering is a dry run under way.
type answering struct {
	waiting int // those who asked and have not left; guarded by answers.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when what follows is set
	result  ao.Result
	err     error
}

// answersBytesMax is when all answers are forgotten.
const answersBytesMax = 64 << 20

func newAnswers() *answers {
	return &answers{known: map[answerKey]ao.Result{}, running: map[answerKey]*answering{}}
}

// get gives what is known, else waits for the dry run of the same that is under way, else begins one. Known says that it
// began none.
func (a *answers) get(ctx context.Context, key answerKey, begin func() (*answering, error)) (result ao.Result, known bool, err error) {
	a.mu.Lock()
	if result, known = a.known[key]; known {
		a.mu.Unlock()
		return result, true, nil
	}
	r, known := a.running[key]
	if !known {
		if r, err = begin(); err != nil {
			a.mu.Unlock()
			return result, false, err
		}
		a.running[key] = r
	}
	r.waiting++
	a.mu.Unlock()
	select {
	case <-r.done:
		return r.result, known, r.err
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.waiting--; r.waiting == 0 {
		r.cancel()
		if a.running[key] == r {
			delete(a.running, key) // whoever asks from now on is not to get the end of this one
		}
	}
	return result, false, context.Cause(ctx)
}

// under is how many dry runs are under way.
func (a *answers) under() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.running)
}

// put ends a dry run.
func (a *answers) put(key answerKey, r *answering, result ao.Result, err error) {
	const overhead = 512
	size := len(result.Messages) + len(result.Assignments) + len(result.Spawns) + len(result.Output) + len(result.Error) + overhead
	a.mu.Lock()
	defer a.mu.Unlock()
	r.result, r.err = result, err
	close(r.done)
	if a.running[key] == r {
		delete(a.running, key)
	}
	if err != nil {
		return
	}
	if a.bytes += size; a.bytes > answersBytesMax {
		clear(a.known)
		a.bytes = size
	}
	a.known[key] = result
}
