package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

// chaos ends the lives of a unit, and takes scheduler and gateway away from it.
type chaos struct {
	run       *run
	random    *rand.Rand
	killEvery time.Duration
	killed    int // SIGKILL
	asked     int // SIGTERM
	stopMax   time.Duration
}

// lives kills the unit again and again, and starts it again each time, until ctx ends. Every eighth time it is asked to stop
// instead; every seventh life ends while it has hardly begun.
func (c *chaos) lives(ctx context.Context) error {
	var before []int64 // answers at the ends of the lives
	for number := 0; ; number++ {
		pause := c.killEvery/2 + time.Duration(c.random.Int64N(int64(c.killEvery)))
		if number%7 == 5 {
			pause = time.Duration(c.random.Int64N(int64(200 * time.Millisecond)))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		before = append(before, c.run.answered.Load())
		if number >= 3 {
			c.spare(ctx, before[number-3])
		}
		if number == 1 {
			if err := c.run.unit.second(); err != nil {
				c.run.differs("%v", err)
			}
		}
		if err := c.end(number%8 == 6); err != nil {
			return err
		}
		time.Sleep(time.Duration(c.random.Int64N(int64(100 * time.Millisecond))))
		if err := c.run.unit.start(); err != nil {
			return err
		}
		if number%7 == 4 {
			continue // the next life ends before anybody knows whether it would have answered
		}
		if err := c.run.unit.await(time.Minute); err != nil {
			return err
		}
	}
}

// spare lets a life go on that has nothing to show for the last three: on a slow machine a module may take longer to compile
// than a life lasts.
func (c *chaos) spare(ctx context.Context, before int64) {
	for begin := time.Now(); c.run.answered.Load() == before && time.Since(begin) < 2*time.Minute && ctx.Err() == nil; {
		time.Sleep(50 * time.Millisecond)
	}
	if c.run.answered.Load() == before && ctx.Err() == nil {
		c.run.differs("no message was answered in 2 minutes; what the unit does instead is in its log")
		_, _, _ = c.run.unit.stop(syscall.SIGQUIT, time.Minute)
	}
}

func (c *chaos) end(politely bool) error {
	if !politely {
		c.killed++
		_, _, err := c.run.unit.stop(syscall.SIGKILL, 10*time.Second)
		return err
	}
	c.asked++
	code, took, err := c.run.unit.stop(syscall.SIGTERM, time.Minute)
	c.stopMax = max(c.stopMax, took)
	if err == nil && code != 0 && code != 130 {
		c.run.differs("the unit was asked to stop under load, and ended with code %d", code)
	}
	return err
}

// outages makes scheduler or gateway refuse connections now and then.
func (c *chaos) outages(ctx context.Context, seed uint64, every time.Duration) error {
	random := rand.New(rand.NewPCG(seed, 3))
	fronts := []*front{c.run.world.front.su, c.run.world.front.gateway}
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every/2 + time.Duration(random.Int64N(int64(every)))):
		}
		length, kind := time.Duration(100+random.IntN(1200))*time.Millisecond, refused
		if number%8 == 3 { // longer than the unit tries again
			length, kind = 6*time.Second, outageLong
		}
		if err := fronts[number%len(fronts)].outage(length, kind); err != nil {
			return err
		}
	}
}

// readers ask for other things meanwhile: what they get is looked at for being an answer.
func readers(ctx context.Context, r *run, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 4))
	for number := 0; ctx.Err() == nil; number++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(150 * time.Millisecond):
		}
		p := r.world.history.processes[random.IntN(len(r.world.history.processes))]
		if shown := int(r.world.shown.Load()); p.numbers[0]+1 >= shown {
			continue // it does not exist yet
		}
		var err error
		switch number % 5 {
		case 0:
			_, err = r.get(ctx, "/results/"+p.id.String()+"?limit=5&sort=DESC")
		case 1:
			_, err = r.dryRun(ctx, p)
		case 2:
			_, err = r.get(ctx, "/cron/"+p.id.String()+"?limit=5")
		case 3:
			_, err = r.get(ctx, "/metrics")
		case 4:
			_, err = r.get(ctx, "/")
		}
		_ = err // what is wrong about it is noted
	}
}

// dryRun asks what a process would say to a message, and gives the answer.
func (r *run) dryRun(ctx context.Context, p *process) ([]byte, error) {
	message := map[string]any{
		"Id": "0000000000000000000000000000000000000000000", "Target": p.id, "Owner": p.id, "Data": "Count", "Anchor": "0",
		"Tags": []map[string]string{{"name": "Action", "value": "Ping"}, {"name": "Data-Protocol", "value": "ao"}, {"name": "Type", "value": "Message"}},
	}
	body, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.unit.url+"/dry-run?process-id="+p.id.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return r.do(request)
}

// sample is what a unit uses at some moment.
type sample struct {
	after      time.Duration
	answered   int64
	resident   int64
	heap       int64
	goroutines int64
	files      int64
	disk       int64
}

// watch samples a unit until ctx ends.
func watch(ctx context.Context, r *run) (samples []sample) {
	begin := time.Now()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return samples
		case <-time.After(500 * time.Millisecond):
		}
		l := r.unit.alive.Load()
		resident := r.unit.memory()
		l.rssMax = max(l.rssMax, resident)
		if number%4 != 0 {
			continue
		}
		numbers, err := r.unit.metrics("go_goroutines", "process_open_fds", "go_memstats_heap_inuse_bytes")
		if err != nil {
			continue // it is dead just now
		}
		s := sample{
			after: time.Since(begin), answered: r.answered.Load(), resident: resident, goroutines: int64(numbers["go_goroutines"]),
			files: int64(numbers["process_open_fds"]), heap: int64(numbers["go_memstats_heap_inuse_bytes"]),
		}
		l.filesMax, l.goroutines = max(l.filesMax, s.files), max(l.goroutines, s.goroutines)
		if number%20 == 0 {
			s.disk = size(r.unit.data)
		}
		samples = append(samples, s)
	}
}

// size gives what the files of a folder weigh.
func size(folder string) (bytes int64) {
	_ = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
		}
		return nil // what goes away meanwhile weighs nothing
	})
	return bytes
}

// injected gives how often each kind of failure was, of both fronts.
func injected(fronts ...*front) map[string]int64 {
	counts := map[string]int64{}
	for _, f := range fronts {
		f.mu.Lock()
		for kind, n := range f.counts {
			counts[kind] += n
		}
		f.mu.Unlock()
	}
	return counts
}

// megabytes shows a size.
func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
