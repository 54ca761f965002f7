package cuda

import (
	"errors"
	"slices"
	"unsafe"

	"verbatim/kernels"
)

const (
	graphsMax        = 64 // lists that are remembered; beyond, the one used longest ago goes
	graphLaunchesMin = 8  // lists with fewer are not worth a graph
)

// graphs remembers lists of commands. One that comes a second time, the same to the last argument, is made a CUDA graph, and
// is replayed as that from then on. A list that is the same does the same, whatever its addresses were used for in between.
type graphs struct {
	kept  []*graph
	clock uint64
}

type graph struct {
	commands
	executable uint64 // 0: not made yet
	used       uint64 // the clock when it came last
}

// recall finds a list that came before, or remembers it. The first time it gives nil.
func (g *graphs) recall(list *commands, forget func(*graph)) *graph {
	g.clock++
	oldest := 0
	for i, k := range g.kept {
		if slices.Equal(k.args, list.args) && slices.Equal(k.all, list.all) {
			k.used = g.clock
			return k
		}
		if k.used < g.kept[oldest].used {
			oldest = i
		}
	}
	if len(g.kept) < graphsMax {
		g.kept = append(g.kept, &graph{})
		oldest = len(g.kept) - 1
	} else {
		forget(g.kept[oldest])
	}
	k := g.kept[oldest]
	k.all, k.args, k.used, k.executable = append(k.all[:0], list.all...), append(k.args[:0], list.args...), g.clock, 0
	return nil
}

// submit gives the card what was recorded. The context is current.
func (b *Backend) submit() error {
	list := &b.list
	if len(list.all) == 0 {
		return nil
	}
	b.fetched.begin()
	launches := 0
	var missing error
	for i := range list.all {
		if c := &list.all[i]; c.kind == launchKernel {
			launches++
			if err := b.ready(c.kernel, int(c.shared)); errors.Is(err, kernels.ErrMemory) {
				missing = err
			} else if err != nil {
				return err
			}
		}
	}
	if missing != nil {
		return b.submitWithout(missing)
	}
	var again *graph
	if launches >= graphLaunchesMin && !b.profile.on {
		again = b.graphs.recall(list, b.forget)
	}
	if again == nil {
		return b.replay(list)
	}
	if again.executable == 0 {
		if err := b.capture(again); errors.Is(err, kernels.ErrMemory) {
			return b.replay(list) // without a graph it is only slower
		} else if err != nil {
			return err
		}
	}
	if err := b.driver.launchGraph(again.executable, b.stream); err != nil {
		return b.failed(err)
	}
	return nil
}

// submitWithout gives the card what was recorded but the launches of kernels that there was no memory to load for: what the host
// knows of device memory, of tables for instance, stays true. It waits, since nobody else will.
func (b *Backend) submitWithout(missing error) error {
	if err := b.replay(&b.list); err != nil {
		return err
	}
	if err := b.wait(); err != nil {
		return err
	}
	return missing
}

func (b *Backend) launchNow(list *commands, c *command) error {
	return b.driver.launch(c.kernel.function, c.grid, c.block, c.shared, b.stream, list.args[c.args:][:c.bytes/8], b.dependent)
}

// replay gives the stream one command after the other.
func (b *Backend) replay(list *commands) error {
	for i := range list.all {
		c := &list.all[i]
		var err error
		switch c.kind {
		case launchKernel:
			switch {
			case c.kernel.function == 0: // not loaded: submitWithout
			case b.profile.on:
				err = b.measured(list, c)
			default:
				err = b.launchNow(list, c)
			}
		case copyIn:
			err = b.driver.copyIn(c.to, unsafe.Add(b.staging.base, c.from), c.bytes, b.stream)
		case copyWithin:
			err = b.driver.copyWithin(c.to, c.from, c.bytes, b.stream)
		case fillZero:
			err = b.driver.fill(c.to, 0, c.bytes, b.stream)
		}
		if err != nil {
			if c.kind == launchKernel {
				err = &launchError{c.kernel.name, err}
			}
			return b.failed(err)
		}
	}
	return nil
}

// capture makes a graph of a list.
func (b *Backend) capture(g *graph) error {
	if err := b.driver.beginCapture(b.stream); err != nil {
		return b.failed(err)
	}
	err := b.replay(&g.commands)
	template, ended := b.driver.endCapture(b.stream)
	if err == nil && ended != nil {
		err = b.failed(ended)
	}
	if err == nil {
		if g.executable, err = b.driver.instantiate(template); err != nil {
			g.executable, err = 0, b.scarce(err)
		}
	}
	if template != 0 {
		if destroyed := b.driver.destroyGraph(template); err == nil && destroyed != nil {
			err = b.failed(destroyed)
		}
	}
	return err
}

// forget destroys what was made of a list. The context is current.
func (b *Backend) forget(g *graph) {
	if g.executable == 0 {
		return
	}
	if err := b.driver.destroyExecutable(g.executable); err != nil {
		b.fail(b.failed(err))
	}
	g.executable = 0
}

// flush runs what was recorded, waits for it, and returns what failed since the last flush or download.
func (b *Backend) flush() error {
	leave, err := b.enter()
	defer leave()
	if err == nil {
		err = b.submit()
	}
	if err == nil {
		err = b.wait()
	}
	return b.finish(err)
}

// wait returns when the card has done all it was given. The context is current.
func (b *Backend) wait() error {
	err := b.driver.synchronize(b.stream)
	if err == nil {
		err = b.collect()
	}
	if err != nil {
		return b.failed(err)
	}
	return nil
}

// finish makes room for the next list, and gives the first error since the last one.
func (b *Backend) finish(err error) error {
	b.list.all, b.list.args, b.staging.used = b.list.all[:0], b.list.args[:0], 0
	if err == nil {
		err = b.releaseRetired()
	}
	if b.err != nil {
		err, b.err = b.err, nil
	}
	return err
}
