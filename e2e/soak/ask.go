package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"verbatim/cu/ao"
)

// answers are the digests of results, by process and nonce.
type answers map[ao.ID][][sha256.Size]byte

// run is the history asked of one unit.
type run struct {
	name     string
	world    *world
	unit     *unit
	workers  int
	span     time.Duration // over which the messages are spread at least
	patience time.Duration // how long a message may go without an answer while the network fails
	atMost   time.Duration // after which nothing more is asked; 0: until all is
	reached  int           // how many of the sequence were asked for
	expected answers       // of an undisturbed run; nil: this is one
	lenient  bool          // the unit may fail for reasons of its own
	progress func(done int)

	mu       sync.Mutex
	got      answers
	wrong    []string
	statuses map[string]int64 // what was answered
	asked    atomic.Int64     // requests
	answered atomic.Int64     // messages
	slowest  time.Duration
	took     time.Duration
	client   *http.Client
}

func newRun(name string, w *world, u *unit, workers int) *run {
	r := &run{
		name: name, world: w, unit: u, workers: workers, got: answers{}, statuses: map[string]int64{}, progress: func(int) {},
		reached: w.history.messages, patience: 10 * time.Minute,
	}
	for _, p := range w.history.processes {
		r.got[p.id] = make([][sha256.Size]byte, len(p.messages))
	}
	r.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers + 4}, Timeout: 5 * time.Minute}
	return r
}

// sequence is the order in which messages are asked for: that of their arrival, but for one in seven, about which somebody
// asks later, when the unit has done it for a later one's sake or still has to catch up.
func sequence(messages int, seed uint64) []int {
	random := rand.New(rand.NewPCG(seed, 2))
	late := max(20, messages/100)
	type place struct{ number, at int }
	places := make([]place, messages)
	for i := range places {
		places[i] = place{i, i}
		if random.IntN(7) == 0 {
			places[i].at += 1 + random.IntN(late)
		}
	}
	sort.SliceStable(places, func(i, j int) bool { return places[i].at < places[j].at })
	order := make([]int, messages)
	for i, p := range places {
		order[i] = p.number
	}
	return order
}

// all asks for every message, each until it is answered.
func (r *run) all(ctx context.Context, seed uint64) {
	begin := time.Now()
	order := sequence(r.world.history.messages, seed)[:r.reached]
	var next atomic.Int64
	var working sync.WaitGroup
	for range r.workers {
		working.Go(func() {
			for ctx.Err() == nil {
				if r.atMost > 0 && time.Since(begin) > r.atMost {
					return
				}
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					return
				}
				if early := r.span*time.Duration(i)/time.Duration(len(order)) - time.Since(begin); early > 0 {
					time.Sleep(early)
				}
				r.world.show(order[i])
				m := r.world.history.order[order[i]]
				r.message(ctx, m.process, m.nonce)
				r.progress(int(r.answered.Add(1)))
			}
		})
	}
	working.Wait()
	// Who draws a place asks for it.
	r.reached = int(r.answered.Load())
	r.took = time.Since(begin)
}

// message asks until it gets an answer, and compares it.
func (r *run) message(ctx context.Context, p *process, nonce int) {
	begin, wait := time.Now(), 10*time.Millisecond
	for ctx.Err() == nil {
		body, err := r.get(ctx, fmt.Sprintf("/result/%s?process-id=%s&no-busy=1", p.messages[nonce], p.id))
		if err == nil {
			l := r.unit.alive.Load()
			l.answers.Add(1)
			l.firstAnswer.CompareAndSwap(0, int64(time.Since(l.began)))
			r.note(p, nonce, body, time.Since(begin))
			return
		}
		if time.Since(begin) > r.patience {
			r.differs("message %s of process %s (nonce %d, %s): no answer in %v: %v", p.messages[nonce], p.id, nonce, p.kind.name, r.patience, err)
			return
		}
		time.Sleep(wait)
		wait = min(2*wait, 300*time.Millisecond)
	}
}

func (r *run) note(p *process, nonce int, body []byte, took time.Duration) {
	digest := sha256.Sum256(body)
	r.mu.Lock()
	r.slowest = max(r.slowest, took)
	before := r.got[p.id][nonce]
	r.got[p.id][nonce] = digest
	r.mu.Unlock()
	if before != ([sha256.Size]byte{}) && before != digest {
		r.differs("message %s of process %s (nonce %d, %s) was answered in two ways; now with %.300s", p.messages[nonce], p.id, nonce, p.kind.name, body)
	}
	if r.expected != nil && r.expected[p.id][nonce] != digest {
		r.differs("message %s of process %s (nonce %d, %s) is answered otherwise than undisturbed: %.300s", p.messages[nonce], p.id, nonce, p.kind.name, body)
	}
}

func (r *run) differs(format string, arguments ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wrong = append(r.wrong, r.name+": "+fmt.Sprintf(format, arguments...))
}

func (r *run) count(what string) {
	r.asked.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[what]++
}

// get gives the body of a good answer that came whole.
func (r *run) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.unit.url+path, nil)
	if err != nil {
		return nil, err
	}
	return r.do(request)
}

func (r *run) do(request *http.Request) ([]byte, error) {
	response, err := r.client.Do(request)
	if err != nil {
		r.count("no connection")
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.count("cut off")
		return nil, err
	}
	r.count(fmt.Sprint(response.StatusCode))
	switch response.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusBadGateway, http.StatusServiceUnavailable:
	case http.StatusInternalServerError:
		if !r.lenient {
			r.differs("GET %s: status %d: %.300s", request.URL.Path, response.StatusCode, body)
		}
	case http.StatusNotFound, http.StatusBadRequest, http.StatusUnprocessableEntity:
		r.differs("GET %s: status %d: %.300s", request.URL.Path, response.StatusCode, body)
	}
	return nil, fmt.Errorf("status %d: %.2000s", response.StatusCode, body)
}
