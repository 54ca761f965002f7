package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// final is what a unit says of a process at the end.
type final struct {
	memory [sha256.Size]byte // body of /state
	bytes  int64
	pages  [sha256.Size]byte // all of /results
	crons  [sha256.Size]byte // all of /cron
	dryRun [sha256.Size]byte
	boot   [sha256.Size]byte // result of the process's own item
}

// finals asks for the final state of every process.
func (r *run) finals(ctx context.Context, each func()) (map[ao.ID]final, error) {
	found := map[ao.ID]final{}
	for _, p := range r.world.history.processes {
		if p.numbers[0] >= int(r.world.shown.Load()) {
			continue // the day ended before it began
		}
		var f final
		var err error
		if f.memory, f.bytes, err = r.state(ctx, p.id); err == nil {
			f.crons, err = r.pages(ctx, "/cron/", p.id)
		}
		if err == nil {
			f.pages, err = r.pages(ctx, "/results/", p.id)
		}
		var body []byte
		if err == nil {
			body, err = r.dryRun(ctx, p)
			f.dryRun = sha256.Sum256(body)
		}
		if err == nil {
			body, err = r.get(ctx, fmt.Sprintf("/result/%s?process-id=%s", p.id, p.id))
			f.boot = sha256.Sum256(body)
		}
		if err != nil {
			return nil, fmt.Errorf("final state of process %s (%s): %w", p.id, p.kind.name, err)
		}
		found[p.id] = f
		each()
	}
	return found, nil
}

func (r *run) state(ctx context.Context, id ao.ID) (digest [sha256.Size]byte, size int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.unit.url+"/state/"+id.String(), nil)
	if err != nil {
		return digest, 0, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return digest, 0, err
	}
	defer response.Body.Close()
	hash := sha256.New()
	if size, err = io.Copy(hash, response.Body); err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return [sha256.Size]byte(hash.Sum(nil)), size, err
}

// pages walks through a list, and digests its pages.
func (r *run) pages(ctx context.Context, path string, id ao.ID) (digest [sha256.Size]byte, err error) {
	hash, from := sha256.New(), ""
	for {
		body, err := r.get(ctx, path+id.String()+"?limit=500"+from)
		if err != nil {
			return digest, err
		}
		hash.Write(body)
		last := bytes.LastIndex(body, []byte(`"cursor":"`))
		if last < 0 || !bytes.Contains(body[:60], []byte(`"hasNextPage":true`)) {
			return [sha256.Size]byte(hash.Sum(nil)), nil
		}
		rest := body[last+len(`"cursor":"`):]
		from = "&from=" + string(rest[:bytes.IndexByte(rest, '"')])
	}
}

// compareFinals notes what differs.
func (r *run) compareFinals(got, want map[ao.ID]final) {
	for _, p := range r.world.history.processes {
		g, w := got[p.id], want[p.id]
		for _, part := range [...]struct {
			name string
			same bool
		}{
			{"memory", g.memory == w.memory && g.bytes == w.bytes}, {"/results", g.pages == w.pages}, {"/cron", g.crons == w.crons},
			{"/dry-run", g.dryRun == w.dryRun}, {"its first result", g.boot == w.boot},
		} {
			if !part.same {
				r.differs("process %s (%s): %s differs from the undisturbed unit's", p.id, p.kind.name, part.name)
			}
		}
	}
}

// compareAnswers counts what was not answered, or otherwise.
func (r *run) compareAnswers(seed uint64) {
	missing := 0
	for _, number := range sequence(r.world.history.messages, seed)[:r.reached] {
		m := r.world.history.order[number]
		if digest := r.got[m.process.id][m.nonce]; digest == ([sha256.Size]byte{}) || digest != r.expected[m.process.id][m.nonce] {
			missing++
		}
	}
	if missing > 0 {
		r.differs("%d results are missing or differ", missing)
	}
}

// logged is what a log says, step by step, of each process: digests of receipts without what depends on the order of
// processes, together with their inputs and results.
type logged struct {
	steps    map[ao.ID][][sha256.Size]byte
	results  answers // digests of what was assigned
	receipts int
	bytes    int64
	special  map[string]int // receipts by what they are of
}

// readLog reads the log of a daemon that has ended; it must end with a whole record.
func readLog(data string) (*logged, error) {
	path := filepath.Join(data, "receipts", receipt.LogName)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	reader, err := receipt.NewReader(file, info.Size())
	if err != nil {
		return nil, err
	}
	l := &logged{steps: map[ao.ID][][sha256.Size]byte{}, results: answers{}, bytes: info.Size(), special: map[string]int{}}
	for {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if record.Entry == nil {
			continue
		}
		if err := l.add(record.Entry); err != nil {
			return nil, err
		}
	}
}

func (l *logged) add(entry *receipt.Entry) error {
	r := *entry.Receipt
	if err := r.Verify(); err != nil {
		return err
	}
	switch {
	case r.Cron != "":
		l.special["of crons"]++
	case r.Duplicate:
		l.special["of duplicates"]++
	case r.Fault != "":
		l.special["with a fault"]++
	}
	if len(r.Inferences) > 0 {
		l.special["with inferences"]++
	}
	r.Signer, r.Sequence, r.Previous = [ed25519.PublicKeySize]byte{}, 0, receipt.Digest{}
	digest, hash := r.Digest(), sha256.New()
	for _, part := range [...][]byte{digest[:], entry.Message, entry.Env, entry.Result} {
		fmt.Fprintf(hash, "%d\n", len(part))
		hash.Write(part)
	}
	l.steps[r.Process] = append(l.steps[r.Process], [sha256.Size]byte(hash.Sum(nil)))
	if r.Cron == "" {
		l.results[r.Process] = append(l.results[r.Process], sha256.Sum256(entry.Result))
	}
	l.receipts++
	return nil
}

// recall takes what an undisturbed unit has answered from its log. It must have done everything.
func (r *run) recall() error {
	known, err := readLog(r.unit.data)
	if err != nil {
		return err
	}
	for _, p := range r.world.history.processes {
		if len(known.results[p.id]) != len(p.messages) {
			return fmt.Errorf("resume: the undisturbed unit knows %d results of process %s, want %d", len(known.results[p.id]), p.id, len(p.messages))
		}
		r.got[p.id] = known.results[p.id]
	}
	r.world.shown.Store(int64(r.world.history.messages))
	return nil
}

// compareLogs names the first step of each process that differs.
func (r *run) compareLogs(got, want *logged) {
	for _, p := range r.world.history.processes {
		g, w := got.steps[p.id], want.steps[p.id]
		step := 0
		for step < min(len(g), len(w)) && g[step] == w[step] {
			step++
		}
		if step == len(g) && r.reached < r.world.history.messages {
			continue // the day was cut short
		}
		if step < max(len(g), len(w)) {
			r.differs("process %s (%s): step %d of %d has another receipt than step %d of %d undisturbed", p.id, p.kind.name, step, len(g), step, len(w))
		}
	}
}

// sorted gives the keys of a table in order.
func sorted[V any](table map[string]V) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
