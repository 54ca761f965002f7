package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"verbatim/cu/ao"
)

// patiently does work and answers with it, or, if that takes longer than the unit makes clients wait, with 202 and a note that
// it goes on. An evaluation does not end with the request that asked for it. Upto names what is evaluated, for the note.
func patiently[T any](s *server, c *gin.Context, process ao.ID, upto string, work func(context.Context) (T, error), answer func(T)) {
	finish := func(done T, err error) {
		if err != nil {
			fail(c, err)
			return
		}
		answer(done)
	}
	if s.BusyAfter <= 0 || c.Query("no-busy") != "" {
		finish(work(c.Request.Context()))
		return
	}
	type outcome struct {
		done T
		err  error
		bug  any
	}
	ended := make(chan outcome, 1)
	// A dry run goes on too: whoever asks again finds its result.
	ctx := context.WithoutCancel(c.Request.Context())
	go func() {
		var o outcome
		defer func() {
			o.bug = recover() // to be raised where bugs of a request are answered
			ended <- o
		}()
		o.done, o.err = work(ctx)
	}()
	timer := time.NewTimer(s.BusyAfter)
	defer timer.Stop()
	select {
	case o := <-ended:
		if o.bug != nil {
			panic(o.bug)
		}
		finish(o.done, o.err)
	case <-timer.C:
		c.JSON(http.StatusAccepted, struct {
			Message string `json:"message"`
		}{fmt.Sprintf("Evaluation of process %q to %q is in progress.", process.String(), upto)})
	}
}

// rates limit what each client may ask for: as many requests as count in any window of time.
type rates struct {
	count  int // 0: no limit
	window time.Duration

	mu    sync.Mutex
	asked map[string][]time.Time
}

// clientsMax is when clients that have not asked lately are forgotten.
const clientsMax = 4096

// admit counts a request of a client, unless there were too many. Forget takes it back.
func (r *rates) admit(client string, now time.Time) (forget func(), ok bool) {
	if r.count == 0 {
		return func() {}, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.asked) >= clientsMax {
		for other := range r.asked {
			r.prune(other, now)
		}
	}
	r.prune(client, now)
	if len(r.asked[client]) >= r.count {
		return nil, false
	}
	r.asked[client] = append(r.asked[client], now)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for i, at := range r.asked[client] {
			if at.Equal(now) {
				r.asked[client] = append(r.asked[client][:i:i], r.asked[client][i+1:]...)
				return
			}
		}
	}, true
}

// prune drops what is out of the window. The mutex is held.
func (r *rates) prune(client string, now time.Time) {
	times := r.asked[client]
	for len(times) > 0 && now.Sub(times[0]) >= r.window {
		times = times[1:]
	}
	if r.asked[client] = times; len(times) == 0 {
		delete(r.asked, client)
	}
}
