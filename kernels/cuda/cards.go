package cuda

import (
	"errors"
	"fmt"
	"runtime"

	"verbatim/kernels"
)

// Cards are the cards of this machine, as the driver in Library sees them ("": libcuda.so.1, as the loader finds it).
type Cards struct {
	Library   string
	Dependent bool // as in Options
}

// Count is how many there are. The error says why there are none, and wraps ErrNoDriver on a machine without a driver.
func (c Cards) Count() (count int, err error) {
	d, err := openDriver(c.Library)
	if err != nil {
		return 0, err
	}
	return d.deviceCount()
}

// Names are the cards' names and levels, like "NVIDIA H200, sm_90".
func (c Cards) Names() ([]string, error) {
	count, err := c.Count()
	if err != nil {
		return nil, err
	}
	var names []string
	for card := range count {
		b := &Backend{}
		if b.driver, err = openDriver(c.Library); err == nil {
			err = b.describe(card)
		}
		if err != nil {
			return names, err
		}
		names = append(names, b.info.Device+", "+b.info.Level)
	}
	return names, nil
}

// FreeBytes is the free memory of a card. It takes the card's context for a moment.
func (c Cards) FreeBytes(card int) (free int64, err error) {
	d, err := openDriver(c.Library)
	if err != nil {
		return 0, err
	}
	device, err := d.device(card)
	if err != nil {
		return 0, fmt.Errorf("card %d: %w", card, err)
	}
	context, err := d.retain(device)
	if err != nil {
		return 0, fmt.Errorf("card %d: %w", card, err)
	}
	defer func() { err = errors.Join(err, d.release(device)) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := d.setCurrent(context); err != nil {
		return 0, fmt.Errorf("card %d: %w", card, err)
	}
	free, _, err = d.memoryInfo()
	return free, errors.Join(err, d.setCurrent(0))
}

// Start starts a backend on a card, or one that spreads a model over several.
func (c Cards) Start(cards ...int) (kernels.Backend, error) {
	var all []*Backend
	for _, card := range cards {
		b, err := New(Options{Library: c.Library, Device: card, Dependent: c.Dependent})
		if err != nil {
			for _, b := range all {
				err = errors.Join(err, b.Close())
			}
			return nil, err
		}
		all = append(all, b)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return NewSplit(all...), nil
}
