package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"verbatim/cu/ao"
	"verbatim/internal/localnet"
)

// daemon is a compute unit in a process of its own.
type daemon struct {
	command *exec.Cmd
	log     *os.File
	url     string
}

// unitScene is a network with a module, and the folder of a compute unit on it.
type unitScene struct {
	net     *localnet.Network
	gateway string
	module  ao.ID
	data    string
	plan    *EvaluationPlan
}

// daemonWait is how long a daemon may take to answer at all.
const daemonWait = 2 * time.Minute

// daemons measures whole units: catching up, dry runs, starting again.
func (r *evaluationRun) daemons(ctx context.Context) (err error) {
	if r.plan.CatchUp == 0 && r.plan.Processes == 0 {
		return nil
	}
	file := r.plan.Modules[0]
	s := unitScene{plan: &r.plan, data: filepath.Join(r.plan.Folder, "unit")}
	if s.net, err = localnet.Open(localnet.Options{Folder: filepath.Join(r.plan.Folder, "network")}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.net.Close()) }()
	urls, err := s.net.Listen("127.0.0.1", localnet.Ports{})
	if err != nil {
		return err
	}
	s.gateway = urls.Gateway
	wasm, err := os.ReadFile(file.Path)
	if err != nil {
		return err
	}
	if s.module, err = s.net.PublishModule(ctx, wasm, file.Format, nil); err != nil {
		return err
	}
	if r.plan.CatchUp > 0 {
		if err := r.catchUp(ctx, &s, file); err != nil {
			return fmt.Errorf("catch up: %w", err)
		}
	}
	if r.plan.Processes > 0 {
		if err := r.restart(ctx, &s, file); err != nil {
			return fmt.Errorf("start again: %w", err)
		}
	}
	return nil
}

// start starts the daemon and waits until it answers.
func (s *unitScene) start(ctx context.Context) (*daemon, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	d := &daemon{url: "http://" + address}
	options := append(s.plan.Daemon[1:len(s.plan.Daemon):len(s.plan.Daemon)], "--listen", address, "--gateway", s.gateway, "--data", s.data, "--behind-max", "0")
	d.command = exec.Command(s.plan.Daemon[0], options...)
	if d.log, err = os.Create(filepath.Join(s.plan.Folder, "daemon.log")); err != nil {
		return nil, err
	}
	d.command.Stdout, d.command.Stderr = d.log, d.log
	if err := d.command.Start(); err != nil {
		return nil, errors.Join(err, d.log.Close())
	}
	for begin := time.Now(); time.Since(begin) < daemonWait && ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
		if _, err := get(ctx, d.url+"/health"); err == nil {
			return d, nil
		}
	}
	return nil, errors.Join(d.kill(), fmt.Errorf("the unit does not answer; it says in %s why", d.log.Name()))
}

// kill ends the daemon at once, as a crash would.
func (d *daemon) kill() error {
	err := d.command.Process.Kill()
	_ = d.command.Wait() // says that it was killed
	return errors.Join(err, d.log.Close())
}

func (d *daemon) result(ctx context.Context, process, message ao.ID) ([]byte, error) {
	return get(ctx, fmt.Sprintf("%s/result/%s?process-id=%s", d.url, message, process))
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return answerOf(request)
}

// answerOf gives the body of an answer with status 200.
func answerOf(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", request.Method, request.URL, response.Status, body)
	}
	return body, err
}

const codeCount = "Count = (Count or 0) + 1 return Count"

// referenceStretch is how many messages the reference evaluates where its time for more is worked out from that.
const referenceStretch = 100

// catchUp has a fresh unit evaluate a process that is many messages ahead of it, and then asks dry runs of that process.
func (r *evaluationRun) catchUp(ctx context.Context, s *unitScene, file ModuleFile) error {
	n := r.plan.CatchUp
	r.plan.Step(fmt.Sprintf("schedule %d messages", n))
	process, err := s.net.Spawn(ctx, s.module, ao.Tags{{Name: "Name", Value: "bench"}}, []byte("a process to measure"))
	if err != nil {
		return err
	}
	var last ao.ID
	for range n {
		if last, err = s.net.Send(ctx, process, ao.Tags{{Name: "Action", Value: "Eval"}}, []byte(codeCount)); err != nil {
			return err
		}
	}
	row := r.row(file.name(), fmt.Sprintf("catch up with %d messages", n))
	row.Messages = n
	row.Note = "a whole unit: fetched, verified, evaluated, signed, on disk"
	stretch := evaluationWorkload{data: func(int) string { return codeCount }, messages: referenceStretch, untimed: 10}
	dry := r.row(file.name(), "dry runs over HTTP")
	dry.Note = fmt.Sprintf("%d clients at a time, no two runs alike", dryRunClients())
	for range r.plan.Runs {
		r.plan.Step(row.Name)
		if err := os.RemoveAll(s.data); err != nil {
			return err
		}
		ours, dryRuns, err := s.catchUpOnce(ctx, process, last, n)
		if err != nil {
			return err
		}
		row.EachOurs, dry.EachOurs = append(row.EachOurs, ours), append(dry.EachOurs, dryRuns)
		if r.plan.Loader == "" {
			continue
		}
		lines, untimed := stretch.lines()
		theirs, err := r.node(ctx, file, lines, untimed, nodeCopies)
		if err != nil {
			return err
		}
		rate := latencyOf(theirs.Milliseconds).PerSecond
		row.EachReference = append(row.EachReference, Latency{PerSecond: rate})
		dry.EachReference = append(dry.EachReference, Latency{PerSecond: rate * float64(runtime.GOMAXPROCS(0))})
	}
	if r.plan.Loader != "" {
		row.Note += fmt.Sprintf("; the reference's rate is that of its evaluations alone, %d of them", referenceStretch)
		dry.Note += "; the reference's rate is that of its evaluations alone, on one core, times the cores"
	}
	return nil
}

func (s *unitScene) catchUpOnce(ctx context.Context, process, last ao.ID, n int) (ours, dry Latency, err error) {
	d, err := s.start(ctx)
	if err != nil {
		return ours, dry, err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	if _, err := d.result(ctx, process, process); err != nil { // fetches and compiles the module
		return ours, dry, err
	}
	begin := time.Now()
	body, err := d.result(ctx, process, last)
	seconds := time.Since(begin).Seconds()
	if err == nil && !bytes.Contains(body, fmt.Appendf(nil, "%d", n)) {
		err = fmt.Errorf("the last result does not say %d: %s", n, body)
	}
	if err != nil {
		return ours, dry, err
	}
	dry, err = d.dryRuns(ctx, process, s.plan.Scale)
	return Latency{PerSecond: float64(n) / seconds}, dry, err
}

// dryRunClients is how many ask at a time.
func dryRunClients() int { return 2 * runtime.GOMAXPROCS(0) }

// dryRunsTimed is how many dry runs are timed.
const dryRunsTimed = 4000

// dryRuns asks from several clients at a time; no two ask the same, so that no answer is used twice.
func (d *daemon) dryRuns(ctx context.Context, process ao.ID, scale float64) (Latency, error) {
	each := max(2, int(math.Round(scale*dryRunsTimed))/dryRunClients())
	var (
		clients      sync.WaitGroup
		mu           sync.Mutex
		milliseconds []float64
		failed       error
	)
	begin := time.Now()
	for client := range dryRunClients() {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for i := range each {
				asked := time.Now()
				err := d.dryRun(ctx, process, client*each+i)
				mu.Lock()
				milliseconds, failed = append(milliseconds, milli(time.Since(asked))), errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		}()
	}
	clients.Wait()
	seconds := time.Since(begin).Seconds()
	l := latencyOf(milliseconds)
	l.PerSecond = float64(len(milliseconds)) / seconds
	return l, failed
}

func (d *daemon) dryRun(ctx context.Context, process ao.ID, i int) error {
	body := fmt.Appendf(nil, `{"Id":"1234","Target":%q,"Owner":"1234","Anchor":"0","Data":"number %d","Tags":[{"name":"Action","value":"Info"}]}`, process, i)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/dry-run?process-id=%s", d.url, process), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	_, err = answerOf(request)
	return err
}

// restart kills a unit that knows many processes and times how soon it answers again: a result that it has, and a message
// that came meanwhile.
func (r *evaluationRun) restart(ctx context.Context, s *unitScene, file ModuleFile) (err error) {
	n := r.plan.Processes
	r.plan.Step(fmt.Sprintf("spawn %d processes", n))
	d, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.kill()) }()
	processes := make([]ao.ID, n)
	for i := range processes {
		if processes[i], err = s.net.Spawn(ctx, s.module, ao.Tags{{Name: "Name", Value: fmt.Sprintf("bench-%d", i)}}, nil); err != nil {
			return err
		}
		if _, err = d.result(ctx, processes[i], processes[i]); err != nil {
			return err
		}
	}
	old := r.row(file.name(), fmt.Sprintf("start again with %d processes: a known result", n))
	fresh := r.row(file.name(), fmt.Sprintf("start again with %d processes: a new message", n))
	old.Note, fresh.Note = "from the start of the daemon, after a kill -9", "as before, from the start of the daemon"
	for i := range r.plan.Runs * starts {
		r.plan.Step("start again")
		process := processes[i*7919%n]
		message, err := s.net.Send(ctx, process, ao.Tags{{Name: "Action", Value: "Eval"}}, []byte(codeCount))
		if err != nil {
			return err
		}
		if err := d.kill(); err != nil {
			return err
		}
		begin := time.Now()
		if d, err = s.start(ctx); err != nil {
			return err
		}
		if _, err := d.result(ctx, process, process); err != nil {
			return err
		}
		old.EachOurs = append(old.EachOurs, Latency{MedianMS: milli(time.Since(begin))})
		if _, err := d.result(ctx, process, message); err != nil {
			return err
		}
		fresh.EachOurs = append(fresh.EachOurs, Latency{MedianMS: milli(time.Since(begin))})
	}
	return nil
}
