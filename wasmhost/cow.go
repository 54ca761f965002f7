package wasmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Allocate implements experimental.MemoryAllocator.
func (c *cowMemory) Allocate(cap, max uint64) experimental.LinearMemory { return c }

// Reallocate implements experimental.LinearMemory: nil refuses.
func (c *cowMemory) Reallocate(size uint64) []byte {
	if size > c.e.memoryBytesMax || size > uint64(len(c.mapped)) {
		c.e.growthRefused = true
		return nil
	}
	return c.mapped[:size]
}

// warm is an instance that waits for its next message. Between messages its memory is exactly that of an image, and the
// rest of it is set anew before each.
type warm struct {
	*instance
	module  *Module
	memory  *cowMemory
	holds   *Image
	globals []uint64 // what the mutable globals were when the instance was made
	bytes   int64    // that it counts for in the store
}

// HandleImage evaluates a message like Handle, on an image in place of Call.Memory, which has to be nil; nil is a cold
// start. Return.Image is the memory afterwards, in place of Return.Memory. Any earlier image may be handed in again: to
// go on after an Error, for a dry run, for a fork.
//
// On Linux, the cost is that of the pages that the message changes, as long as the host keeps an instance that differs
// little from the image (Options.InstanceBytesMax). Elsewhere, and for modules whose state is not only in memory and
// numeric globals, the memory is copied.
func (m *Module) HandleImage(ctx context.Context, image *Image, c Call) (Return, error) {
	if m.pagemap == nil || !m.onlyMemory {
		return m.handleCopy(ctx, image, c)
	}
	if err := checkCall(ctx, c); err != nil {
		return Return{}, err
	}
	if running := m.formFor(ctx, image); running != nil {
		if r, err := running.handle(ctx, image, c); !needsWhole(err) {
			return r, err
		}
	}
	return m.handle(ctx, image, c)
}

// handle is HandleImage with this form of the module.
func (m *Module) handle(ctx context.Context, image *Image, c Call) (Return, error) {
	e := newEvaluation(ctx, m, c)
	if err := e.fits(image); err != nil {
		return Return{}, err
	}
	w, err := m.take(e, image)
	if errors.Is(err, errNoCow) {
		return m.handleCopy(ctx, image, c)
	}
	if err != nil {
		return Return{}, err
	}
	var response []byte
	failed := e.protect(func() { response = e.run(c, e.warmImage(image)) })
	r := Return{Response: response, Gas: e.gasUsed(), Reported: e.reported()}
	if failed != nil || c.Discard {
		if failed != nil {
			w.invokes, w.calls = nil, map[string]*callable{} // they were left in the middle of things
		}
		m.give(e, w, w.revert())
		if failed != nil {
			return Return{Gas: r.Gas, Reported: r.Reported}, failed
		}
		r.Image = image
		return r, nil
	}
	err = w.commit(e.tail())
	if err == nil && e.async.waited != w.holds.waited {
		marked := *w.holds
		marked.waited = e.async.waited
		w.holds = &marked
	}
	r.Image = w.holds
	if err == nil && m.twoForms.Load() && !w.holds.waited {
		w.close(ctx) // the next message runs in the other form
	} else {
		m.give(e, w, err)
	}
	if err != nil {
		return Return{}, err
	}
	return r, nil
}

// handleCopy is HandleImage by way of Handle.
func (m *Module) handleCopy(ctx context.Context, image *Image, c Call) (Return, error) {
	c.Memory = image.Bytes()
	r, err := m.Handle(ctx, c)
	switch {
	case err != nil:
	case c.Discard:
		r.Image = image
	default:
		linear := len(r.Memory) - m.tailBytes()
		r.Image = m.found(m.successor(image).next(r.Memory[:linear], r.Memory[linear:]))
	}
	r.Memory = nil
	return r, err
}

// successor gives the image whose pages the image after the given one may share.
func (m *Module) successor(image *Image) *Image {
	if image != nil {
		return image
	}
	return m.base.Load().fork()
}

// errNoCow says that this machine cannot give copy-on-write memories.
var errNoCow = errors.New("no copy-on-write memory here")

// take finds the instance that holds the image, or else changes or makes one, and sets it up for the evaluation.
func (m *Module) take(e *evaluation, image *Image) (*warm, error) {
	w := m.store.take(m, image)
	if w == nil {
		var err error
		if w, err = m.newWarm(e, image); err != nil {
			return nil, err
		}
	}
	w.memory.e = e
	e.instance = w.instance
	e.prepare()
	if image != w.holds {
		if err := w.become(image); err != nil {
			w.close(e.ctx)
			return nil, err
		}
	}
	for i, g := range w.instance.globals {
		g.Set(w.globals[i])
	}
	return w, nil
}

// give puts an instance back into the store, or closes it if something went wrong with it.
func (m *Module) give(e *evaluation, w *warm, broken error) {
	w.memory.e = nil
	if broken != nil {
		w.close(e.ctx)
		return
	}
	m.store.give(e.ctx, w)
}

func (w *warm) close(ctx context.Context) { _ = w.mod.Close(context.WithoutCancel(ctx)) }

// newWarm makes an instance. Its memory is that of a cold start; for an image, all of it is still to be written.
func (m *Module) newWarm(e *evaluation, image *Image) (*warm, error) {
	memory, err := newCowMemory(uint64(m.pagesMax)*pageBytes, m.pagemap)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCow, err)
	}
	memory.e = e
	inst, err := m.instantiate(e, memory)
	if err != nil {
		memory.Free()
		return nil, err
	}
	w := &warm{instance: inst, module: m, memory: memory}
	for _, g := range inst.globals {
		w.globals = append(w.globals, g.Get())
	}
	if image == nil {
		return w, nil
	}
	// What the segments wrote goes: a file full of zeros lies beneath.
	w.holds = &Image{size: int(inst.memory.Size())}
	pages, err := memory.written(w.holds.size)
	if err == nil {
		err = memory.forget(pages)
	}
	if err != nil {
		w.close(e.ctx)
	}
	return w, err
}

// become writes the image into the memory, as far as it differs from what the memory holds.
func (w *warm) become(image *Image) error {
	if grow := (image.size - int(w.instance.memory.Size())) / pageBytes; grow > 0 {
		if _, ok := w.instance.memory.Grow(uint32(grow)); !ok {
			return fmt.Errorf("%w: %d bytes are more than its maximum", ErrBadMemory, image.size)
		}
	}
	w.memory.reach(image.size)
	var failed error
	differences(w.holds.root, image.root, treeLevels, 0, func(page int, p *[leafBytes]byte) {
		if p == nil {
			p = new([leafBytes]byte)
		}
		if err := w.memory.put(page, p[:]); err != nil {
			failed = err
		}
	})
	w.holds = image
	return failed
}

// commit makes an image of the memory as it is now.
func (w *warm) commit(tail []byte) error {
	size := int(w.instance.memory.Size())
	pages, err := w.memory.written(size)
	if err != nil {
		return err
	}
	w.memory.reach(size)
	from := w.module.successor(w.holds)
	next := edit(from)
	if w.holds == nil && from != nil {
		// The image to share with holds another memory: where this one has zeros, it may have something.
		next.cut(size / leafBytes)
		next.from.root.each(treeLevels, 0, func(page int, _ *[leafBytes]byte) { next.change(page, w.memory.page(page)) })
	}
	var idle []int
	for _, page := range pages {
		if w.memory.aged(page, next.change(page, w.memory.page(page))) {
			idle = append(idle, page)
		}
	}
	w.holds = w.module.found(next.image(size, tail))
	return w.memory.settle(idle)
}

// revert undoes what a message did to the memory. It says so if that cannot be done: a memory that grew stays large, and a
// cold start has nothing to go back to.
func (w *warm) revert() error {
	if w.holds == nil || int(w.instance.memory.Size()) != w.holds.size {
		return errors.New("the memory is not what it was")
	}
	pages, err := w.memory.written(w.holds.size)
	if err != nil {
		return err
	}
	zeros := new([leafBytes]byte)
	for _, page := range pages {
		was := w.holds.root.at(page)
		if was == nil {
			was = zeros
		}
		if now := w.memory.page(page); !bytes.Equal(now, was[:]) {
			copy(now, was[:])
		}
		w.memory.aged(page, true)
	}
	return nil
}

// instance is an instance of a module, and what the host looks up in it.
type instance struct {
	mod     api.Module
	memory  api.Memory
	fuel    api.MutableGlobal
	stack   api.MutableGlobal
	used    api.MutableGlobal         // counts the reference's gas; nil in formats that do not
	globals []api.MutableGlobal       // the module's own
	invokes []map[string]api.Function // what protected calls call, by nesting depth; one call engine cannot nest
	calls   map[string]*callable
}
